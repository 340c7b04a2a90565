"""Everything that a study made on one page that opens from disk.

inputs.py      the files of a study, read
answer.py      the first screen's sentences, no more certain than the verdicts
questions.py   the sections: a question of the paper each
artifacts.py   figures and tables with the paper's sentences
claims.py      verdicts
sources.py     which file and rule a part of the page comes from
beside.py      another study's verdicts beside this one's
showing.py     what the study can and cannot show, by rules with a target each
samples.py     what the models write, side by side
data.py        what was read of the data sets, and what tokenisation does to them
statistics.py  regressions, checks, GAMs, mechanism
cost.py        time, tokens, energy
comparison.py  what it took beside what was planned, and rates for later plans
tables.py      tables as templates take them
page.py        all of it into the page
templates/     the page's Jinja templates, its style among them
"""
