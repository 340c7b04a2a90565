"""One tidy table of scores from 0 to 1, and what is computed from it before any statistics (§5).

transform.py               w_p, the power transform of the PLW (§4.1)
scale.py                   what is constant, and the min-max scale of what is not
table.py                   the score table and its aggregates (Figure 1)
collection.py              scores out of evaluations and judgements; what is missing
given.py                   a score table that an analyst brings
items.py                   scores of single benchmark items
bleu.py                    corpus BLEU from sentences' n-gram counts
pooled.py                  aggregates that are compared across data sets or regularizers (§6)
regularizer_comparison.py  PLW against other regularizers (§6.1): what Figure 8 and Table 4 compare
flags.py                   flags that programs after the score table share
"""
