"""From a data set's lengths to a prompt loss weight: `plw recommend`.

decision.py    the recommendation, with what speaks for and against it
lengths.py     R_g of a file by three definitions, rows by their ratio, the ratio that the loss sees
paper.py       what the paper's Table 5, λ and text say for a ratio
study.py       what a finished study's own runs say for a ratio
trainers.py    how other trainers set a weight, and what its loss is there
words.py       a recommendation as text
page.py        a recommendation as a page
describing.py  Table 1's row of a file, and what training will make of it: `plw describe`
inverting.py   a file with its prompts inverted: `plw invert`
new_study.py   a study file of one's own model and data: `plw new`
hardware.py    what this machine computes with
tokenizers.py  the tokenizer that a user names
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """`plw.recommend(...)` is `plw.recommend.decision.recommend`: the room and what it is for have one name."""

    def __call__(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        from plw.recommend.decision import recommend

        return recommend(*arguments, **options)


sys.modules[__name__].__class__ = _Room
