"""What is constant, and the min-max scale of what is not (§5.2): the same in scores, statistics, figures and claims."""

import numpy as np
import pandas as pd

# Scores from 0 to 1 that differ by less are the same number computed twice: the least step of a benchmark's score is
# one over its items (1e-6 for a million), the error of a mean of that many doubles below 1e-10.
CONSTANT_SPAN = 1e-9


def is_constant(low, high):
    """Whether scores from `low` to `high` (numbers or arrays, scale 0 to 1) are all the same; NaN is not."""
    return high - low <= CONSTANT_SPAN


def constant_groups(frame: pd.DataFrame, within: str | list[str]) -> list:
    """The groups of `frame`, by the columns `within` in order of appearance, in which all rows have the same score."""
    scores = frame.groupby(within, sort=False)["score"]
    spread = is_constant(scores.min(), scores.max())
    return list(spread.index[spread])


def min_max(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """`values` scaled to 0..1 over the axes `axis`; 0.5 where they are constant there and have no scale."""
    low, high = values.min(axis=axis, keepdims=True), values.max(axis=axis, keepdims=True)
    flat = is_constant(low, high)
    return np.where(flat, 0.5, (values - low) / np.where(flat, 1.0, high - low))
