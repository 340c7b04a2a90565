"""The paper's sentences that a program can judge (config/claims.yaml): evidence, rules, verdicts.

evidence.py            what a study measured, as claims ask for it
evidence_files.py      evidence out of a study's files
findings.py            what is found about a sentence
measures.py            rank correlation, parabola, optimum, min-max scale
rules_regression.py    the mixed model (§5.2)
rules_shapes.py        shapes over PLW (§5.1, App. B)
rules_comparisons.py   data sets, ptlms, PLW 0 against the rest (§5.1, §5.3.1)
rules_mechanism.py     the mechanism (§5.3)
rules_regularizers.py  other regularizers (§6.1)
rules_datasets.py      other data sets, GAMs, Table 1 (§6.2, App. D)
rules_loss.py          the implementation (§4.1)
bootstrap.py           uncertainty of a verdict from the benchmarks' items
judging.py             which rule judges which claim, and all verdicts
text.py                the verdicts as Markdown
"""
