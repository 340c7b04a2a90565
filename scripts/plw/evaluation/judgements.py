"""What both judged benchmarks share.

Pairs of candidate and reference texts, and the refusal of bad judgements.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from plw.errors import InputError, reason
from plw.evaluation.rows import normalize_rows
from plw.files import read_json
from plw.study.sources import read_rows


@dataclass(frozen=True)
class Pair:
    """One instruction with the text of a run and the text of the reference."""

    index: int
    instruction: str
    input: str
    candidate: str
    reference: str

    @property
    def identical(self) -> bool:
        """Equal texts are a draw, and no judge is asked (the rule of both packages)."""
        return self.candidate == self.reference


def read_outputs(place: str | Path | dict, form: str) -> list[dict]:
    """Rows with instruction, input and output.

    place  a run's NAME.outputs.json, or a benchmark with reference outputs: its file, or its source
    """
    source = place if isinstance(place, dict) else {"path": str(place)}
    path = Path(source["path"]) if isinstance(source.get("path"), str) else Path()
    content = None
    if path.name.endswith(".outputs.json"):
        try:
            content = read_json(path)
        except (OSError, ValueError) as error:
            raise InputError("A file with generations cannot be read.", value=str(path), hint=reason(error)) from None
    if isinstance(content, dict):
        rows = content["outputs"]
    else:
        # PandaLM's own test file has no `output`: its reference is always a run.
        rows = normalize_rows(read_rows(source, where="--reference"), form)
    without = sum("output" not in row for row in rows)
    if without:
        hint = "Name a run as the judge's `reference: {ptlm, dataset, plw}`, or a file whose rows have `output`."
        raise InputError(f"{without} of {len(rows)} rows have no output to compare with.", value=str(place), hint=hint)
    return rows


def pair_outputs(candidates: list[dict], references: list[dict], *, run: str) -> list[Pair]:
    """Pair each of a run's texts with the reference's text for the same instruction and input.

    The same task may stand twice in a set: first with first. InputError if a reference is missing.
    """
    seen: Counter = Counter()
    by_task: dict[tuple, list[str]] = {}
    for row in references:
        by_task.setdefault(_task(row), []).append(row["output"])
    pairs, missing = [], []
    for index, row in enumerate(candidates):
        task = _task(row)
        texts = by_task.get(task, [])
        if seen[task] < len(texts):
            pairs.append(Pair(index, *task, row["output"], texts[seen[task]]))
        else:
            missing.append(row["instruction"])
        seen[task] += 1
    if missing:
        raise InputError(
            f"The reference has no text for {len(missing)} of {len(candidates)} instructions of run {run!r}.",
            value=missing[0][:120],
            hint="Give a reference that answers the same benchmark rows.",
        )
    return pairs


def _task(row: dict) -> tuple[str, str]:
    return row["instruction"], row.get("input") or ""


def refuse_unparsed(results: dict[str, dict], *, min_parsed: float, answers: Path) -> None:
    """InputError if a run has fewer verdicts than the share `min_parsed` of what the judge was asked.

    results  by run: at least n_asked, n_parsed
    """
    poor = {
        run: f"{result['n_parsed']}/{result['n_asked']}"
        for run, result in results.items()
        if result["n_asked"] and result["n_parsed"] < min_parsed * result["n_asked"]
    }
    if poor:
        listed = ", ".join(f"{run} {share}" for run, share in sorted(poor.items()))
        raise InputError(
            f"The judge's answers could not be read often enough (parsed of asked): {listed}.",
            value=min_parsed,
            where="judge.min_parsed",
            hint=f"Look at the texts in {answers}; mend the prompt or the patterns, or lower min_parsed.",
        )


def sample_stderr(values: list[float]) -> float | None:
    """Standard error of the mean (sample SD / sqrt n); None below two values."""
    count = len(values)
    if count < 2:
        return None
    mean = sum(values) / count
    return (sum((value - mean) ** 2 for value in values) / (count - 1) / count) ** 0.5


def describe_lengths(pairs: list[Pair]) -> dict[str, float]:
    """Mean characters of candidate and reference.

    Judges like long answers, so a win rate is read beside them.
    """
    count = max(len(pairs), 1)
    return {
        "avg_length_chars": sum(len(pair.candidate) for pair in pairs) / count,
        "avg_length_chars_reference": sum(len(pair.reference) for pair in pairs) / count,
    }
