"""The tables of the paper, with the paper's printed values beside ours.

table.py         one model of a table, written as CSV, Markdown and LaTeX
table_1.py       data sets (§4.3)
table_2.py       benchmarks (§4.4)
table_3.py       regressions (§5.2)
table_4.py       regularizers (§6.1)
table_5.py       optimal PLW by R_g (App. D)
table_6.py       licences (App. F)
table_losses.py  other denominators of the loss (ours)
flags.py         flags that programs of tables share
"""
