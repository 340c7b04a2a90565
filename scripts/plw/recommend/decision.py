"""From a file of instruction data to a prompt loss weight: what `plw recommend` and `plw.recommend` give."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plw.data.instances import DROPPED, Instance, RowReport, as_instances
from plw.errors import InputError, nearest_hint
from plw.recommend.lengths import MAX_LENGTH, measure, open_file
from plw.recommend.paper import PURPOSES, RATIOS, SHORT_BELOW, paper_answer
from plw.recommend.study import study_answer
from plw.recommend.tokenizers import token_counter_of
from plw.recommend.trainers import denominators, trainer_settings

CAVEATS = (
    "The paper's models are LLaMA 1 and 2 with 7 billion parameters, on English data; other sizes were not tried.",
    "All of them were fine-tuned in full; with adapters (LoRA) the best weight may be another.",
    "Its appendix calls the table an exercise rather than an authority, and prints no intervals (App. D).",
)


def recommend(
    data: str | Sequence[Mapping],
    *,
    format: str | None = None,
    tokenizer: str | None = None,
    purpose: str = "all",
    study: str | None = None,
    turns: str = "first",
    max_length: int = MAX_LENGTH,
    most_left_out: float = 0.1,
) -> dict[str, Any]:
    """A prompt loss weight for instruction data, with what speaks for and against it.

    data           a file (JSON Lines, JSON, CSV, TSV, Parquet; gzipped or not), or rows with instruction, input, output
    format         of a file's rows: alpaca, dolly, ultrafeedback, messages, sharegpt; told by the fields if not given
    tokenizer      folder, SentencePiece file (.model) or Hub id; without one characters are counted
    purpose        all, multiple_choice (and short answers) or generation (long answers)
    study          folder of a finished study (results/NAME) whose own runs are asked
    turns          of a file's conversations: first (exchange) or all, weighted by role (docs/loss.md)
    max_length     tokens of an example in training
    most_left_out  share of a file's rows, 0 to 1, that may be unreadable
    Returns purpose, lengths (`plw.recommend.lengths.measure`), short (R_g < 1), and
      plw, low, high, matters   the weight (None where it hardly matters or nothing was seen), its interval or span
      source                    "paper" or the study's name; paper (`paper_answer`), study (`study_answer`, or None)
      for_reasons, against      sentences
      trainers, denominators    how to set it (`plw.recommend.trainers`); of the weight, or of 0 where plw is None
    Raises InputError for data that cannot be read, an unknown purpose, or a folder that is no finished study.
    """
    if purpose not in PURPOSES:
        hint = nearest_hint(purpose, list(PURPOSES)) or f"One of: {', '.join(PURPOSES)}."
        raise InputError("Unknown purpose.", value=purpose, where="--purpose", hint=hint)
    instances: Iterable[Instance]
    if isinstance(data, str):
        instances = open_file(data, format=format, turns=turns, most_left_out=most_left_out)
        report = instances.report
    else:
        instances = as_instances(data)
        report = RowReport("rows", rows_read=len(data), rows_kept=len(data))
    lengths = measure(instances, report, count_tokens=token_counter_of(tokenizer), max_length=max_length)
    ratio = lengths["ratio"]
    if not ratio:
        what = "No row has a prompt." if ratio is None else "All completions are empty."
        raise InputError(f"{what} There is no ratio to go by.", value=f"R_g {ratio}", where=_name(data))
    paper = paper_answer(ratio, purpose)
    own = None if study is None else study_answer(study, ratio, purpose)
    found = _decide(paper, own)
    plw = found["plw"]
    return {
        "data": _name(data),
        "purpose": purpose,
        "lengths": lengths,
        "short": ratio < SHORT_BELOW,
        **found,
        "paper": paper,
        "study": own,
        "against": _against(lengths, found, own),
        "trainers": trainer_settings(plw or 0.0),
        "denominators": denominators(plw or 0.0, lengths["loss"]["ratio"]),
    }


def _name(data: object) -> str:
    return data if isinstance(data, str) else "rows"


def _decide(paper: dict, own: dict | None) -> dict[str, Any]:
    """A study's own curve comes before the paper's table, where it can say anything at this ratio."""
    if own is None or own["error"] or own["extrapolated"]:
        keys = ("plw", "low", "high", "matters")
        return {key: paper[key] for key in keys} | {"source": "paper", "for_reasons": list(paper["reasons"])}
    span = f"{own['low']:.3g} to {own['high']:.3g}"
    if own["flat"]:
        said = [
            f"{own['study']}: no effect of the weight was seen at R_g {own['r_g']:.3g} (p = {own['p_flat']:.2g},"
            f" {own['runs']} runs); its curve rises and falls by {own['range']:.2f} of the range of scores."
        ]
        return {"plw": None, "low": 0.0, "high": 1.0, "matters": False, "source": own["study"], "for_reasons": said}
    said = [
        f"{own['study']}: its {own['runs']} runs are best at {own['plw']:.3g}, 90 % interval {span}, at R_g"
        f" {own['r_g']:.3g} (flat curve: p = {own['p_flat']:.2g}).",
        *(f"{reason}" for reason in paper["reasons"]),
    ]
    return {"plw": own["plw"], "low": own["low"], "high": own["high"], "matters": True, "source": own["study"],
            "for_reasons": said}  # fmt: skip


def _against(lengths: dict, found: dict, own: dict | None) -> list[str]:
    """What makes the number less sure than it looks."""
    said = []
    if own is not None and own["error"]:
        said.append(f"{own['study']} cannot say: {own['error']}.")
    if own is not None and not own["error"] and own["extrapolated"]:
        low, high = own["ratios"]
        said.append(f"{own['study']} has ratios from {low:.3g} to {high:.3g} only, so the paper's table is taken.")
    ratio, low, high = (lengths[name] for name in ("ratio", "ratio_low", "ratio_high"))
    if not RATIOS[0] <= ratio <= RATIOS[1]:
        said.append(f"R_g {ratio:.3g} lies outside the paper's data ({RATIOS[0]} to {RATIOS[1]}).")
    if low < SHORT_BELOW <= high:
        said.append("Without a tokenizer it is not sure on which side of R_g 1 the data lie.")
    mean = lengths["r_g"]["mean_of_token_ratios"]
    if mean and (mean < SHORT_BELOW) != (ratio < SHORT_BELOW):
        said.append(
            f"By §2.1's definition (mean of the rows' ratios) R_g is {mean:.3g}, on the other side of 1; the paper's"
            " table is by the ratio of mean lengths."
        )
    share = lengths["short_share"]
    if share is not None and 0.2 <= share <= 0.8:
        said.append(f"The data are mixed: {share:.0%} of the rows have a completion shorter than their prompt.")
    loss = lengths["loss"]
    if loss["completion_lost"]:
        said.append(
            f"{loss['completion_lost']} rows lose their whole completion at {loss['max_length']} tokens: at PLW 0 they"
            " train nothing, at any other weight their prompt alone."
        )
    left_out = [reason for reason in lengths["rows"]["met"] if reason in DROPPED]
    if left_out:
        said.append(f"{lengths['rows']['read'] - lengths['rows']['kept']} rows were left out: {', '.join(left_out)}.")
    return said + (list(CAVEATS) if found["source"] == "paper" else [])
