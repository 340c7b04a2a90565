"""How many sequences a device sees at once: a fixed number, or as many as a budget of tokens holds.

Training cuts its updates by this rule and the plan of a study counts with it. It decides speed and memory only.
"""

from collections.abc import Sequence

# At most this share of a batch that a budget cuts is padding; a fixed number of sequences knows no such bound.
MOST_PADDING = 0.2


def cut(lengths: Sequence[float], *, physical_batch: int, tokens_per_batch: int | None) -> list[int]:
    """Return how many sequences each batch takes, in order.

    lengths           tokens of each sequence, longest first
    physical_batch    sequences of a batch where there is no budget
    tokens_per_batch  the budget: sequences × longest, padding included. A sequence that is longer stands alone.
    """
    if tokens_per_batch is None:
        whole, rest = divmod(len(lengths), physical_batch)
        return [physical_batch] * whole + [rest] * bool(rest)
    sizes: list[int] = []
    longest = tokens = 0.0
    for length in lengths:
        count = sizes[-1] + 1 if sizes else 1
        cells = count * longest
        if sizes and cells <= tokens_per_batch and tokens + length >= (1 - MOST_PADDING) * cells:
            sizes[-1], tokens = count, tokens + length
        else:
            sizes.append(1)
            longest = tokens = length
    return sizes
