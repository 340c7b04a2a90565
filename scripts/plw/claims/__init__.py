"""The paper's sentences that a program can judge (config/claims.yaml): evidence, rules, verdicts.

evidence.py            what a study measured, as claims ask for it
evidence_files.py      evidence out of a study's files
findings.py            what is computed for and found about a sentence
measures.py            rank correlation, parabola, optimum, min-max scale, mean curve
rules_regression.py    the mixed model (§5.2)
rules_shapes.py        shapes over PLW (§5.1, App. B)
rules_comparisons.py   data sets, ptlms, PLW 0 against the rest (§5.1, §5.3.1)
rules_mechanism.py     the mechanism (§5.3)
rules_regularizers.py  other regularizers (§6.1)
rules_datasets.py      other data sets, GAMs, Table 1, the loss (§6.2, App. D, §4.1)
simulation/            simulated studies of a study's design: noise, worlds
verdicts.py            a verdict from a rule and its error rates in simulated studies; primary claims together
judging.py             which rule judges which claim, and all verdicts
power.py               what a design could decide, before anything trains
seeds.py               verdicts of one seed alone
reading.py             the list of claims in, claims.json out
text.py                the verdicts as Markdown
"""
