"""Simulated studies of a study's own design, so that a verdict has error rates.

noise.py    how much a run's scores and measures vary by chance, and how that goes along w_p
worlds.py   studies drawn with that noise, in a world without an effect, in the paper's, and at the edge of a claim
studies.py  the simulated studies that all claims are tried on, drawn once
"""
