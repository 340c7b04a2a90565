"""The figures of the paper: each a function of one tidy frame, drawn in one style.

style.py       how figures look: one dictionary that a study may change; a data set's colour
fonts.py       fonts for letters that the style's font lacks
axes.py        axes, marks, mean lines, legend and note that figures by PLW share
figure_1.py    performance by PLW (§5)
figure_2.py    what may explain the effect (§5.3)
datasets.py    Figures 3 and 9: other instruction data sets (§6.2, App. C.2)
figure_4.py    examples of prompt inversion (App. A)
benchmarks.py  Figures 5, 6 and 7: every benchmark of a group (App. B)
figure_8.py    PLW beside other regularizers (App. C.1)
figure_10.py   the GAMs' interaction (App. D)
figure_claims.py  the claims at a glance (ours)
saving.py      the same data gives the same bytes
flags.py       flags that programs of figures share
"""
