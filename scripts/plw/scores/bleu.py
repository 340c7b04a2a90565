"""Corpus BLEU from sentences' n-gram counts (Papineni et al. 2002; sacreBLEU's defaults), for resampling sentences."""

from collections.abc import Sequence

import numpy as np

ORDERS = 4
COUNTS = (
    [f"correct_{n}" for n in range(1, 5)] + [f"total_{n}" for n in range(1, 5)] + ["output_length", "target_length"]
)


def sentence_counts(outputs: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """The COUNTS of each sentence, int [sentences, 10], tokenised as sacreBLEU does by default."""
    import sacrebleu  # takes a third of a second, and most callers only read counts

    found = []
    for output, target in zip(outputs, targets, strict=True):
        score = sacrebleu.corpus_bleu([output], [[target]])
        found.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(found, dtype=np.int64).reshape(-1, len(COUNTS))


def corpus_bleu(counts: np.ndarray) -> np.ndarray:
    """BLEU / 100 of corpora whose sentences' COUNTS are added up: […, 10] to […], in [0, 1].

    As sacreBLEU: exponential smoothing of orders without a match, brevity penalty; 0 without any match or where the
    corpus has no n-gram of the highest order.
    """
    counts = np.asarray(counts, dtype=float)
    correct, total = counts[..., :ORDERS], counts[..., ORDERS : 2 * ORDERS]
    length, wanted = counts[..., -2], counts[..., -1]
    missing = (correct == 0) & (total > 0)
    smooth = 2.0 ** np.cumsum(missing, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(missing, 1 / (smooth * total), correct / total)
        mean = np.exp(np.log(precision).mean(axis=-1))
        penalty = np.where(length < wanted, np.exp(1 - wanted / length), 1.0)
    usable = (correct.sum(axis=-1) > 0) & (total > 0).all(axis=-1) & (length > 0)
    return np.where(usable, np.minimum(penalty * mean, 1.0), 0.0)
