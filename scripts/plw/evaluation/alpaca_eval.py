"""AlpacaEval 1 through the alpaca_eval package, with a local judge and without network.

The package makes the prompts, draws which text is shown first, parses the answers and computes the win rate.
Only the completions come from `plw.evaluation.judge`: the package's own backend loads the model again for every
call and keeps no text of an answer that it cannot parse.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

os.environ["IS_ALPACA_EVAL_2"] = "False"  # read by the package when it is imported; its default is AlpacaEval 2

import pandas as pd
from alpaca_eval import constants, metrics
from alpaca_eval.annotators.pairwise_evaluator import PairwiseAnnotator, SinglePairwiseAnnotator

from plw.errors import InputError, nearest_hint
from plw.evaluation.judge import Judge
from plw.evaluation.judgements import Pair, describe_lengths
from plw.files import write_text

# The parser of the package's guanaco_33b evaluator (§4.4 names no other); every match in an answer counts.
DEFAULT_PATTERNS = {1: r"(?:^|\n) ?Output \(a\)", 2: r"(?:^|\n) ?Output \(b\)"}
PLACEHOLDERS = ("{instruction}", "{output_1}", "{output_2}")
DRAW = 1.5  # the package's code: 1 the reference wins, 2 the candidate wins


def _no_completions(*_, **__):
    """In the place of the package's default, which imports a client of OpenAI; the judge takes it before it is used."""
    raise AssertionError("the judge answers")


class _RecordingAnnotator(SinglePairwiseAnnotator):
    """Keeps every answer with its order; the package drops those that it cannot parse."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, fn_completions=_no_completions, **kwargs)
        self.answers: list[dict] = []

    def _postprocess(self, df_annotated: pd.DataFrame) -> pd.DataFrame:
        self.answers += df_annotated.to_dict("records")
        return super()._postprocess(df_annotated)


class _Annotator(PairwiseAnnotator):
    @property
    def SingleAnnotator(self):
        return _RecordingAnnotator


def read_prompt(name: str, folder: Path) -> str:
    """The judge's prompt.

    FOLDER/NAME.txt, or built by FOLDER/NAME.yaml from an evaluator of the installed package.
    """
    text_file, recipe_file = folder / f"{name}.txt", folder / f"{name}.yaml"
    if text_file.is_file():
        prompt = text_file.read_text(encoding="utf-8")  # as it is, with the line feed at its end
    elif recipe_file.is_file():
        prompt = _build_prompt(yaml.safe_load(recipe_file.read_text(encoding="utf-8")))
    else:
        known = sorted(file.stem for file in folder.glob("*") if file.suffix in (".txt", ".yaml"))
        hint = nearest_hint(name, known) or f"known: {', '.join(known)}"
        raise InputError(
            "There is no such judge prompt.",
            value=name,
            where=f"judge.prompt, looked for in {folder}",
            hint=hint,
        )
    if missing := [mark for mark in PLACEHOLDERS if prompt.count(mark) != 1]:
        raise InputError(
            "A judge prompt needs each placeholder once.", value=missing[0], where=f"judge prompt {name!r}"
        )
    return prompt


def _build_prompt(recipe: dict) -> str:
    source = (constants.EVALUATORS_CONFIG_DIR / recipe["based_on"]).read_text(encoding="utf-8")
    start = source.index(recipe["after"]) + len(recipe["after"])
    return recipe["wrap"].replace("{prompt}", source[start : source.rindex(recipe["before"])].strip())


def judge_pairs(pairs: dict[str, list[Pair]], judge: Judge, *, prompt: str, folder: Path) -> dict[str, dict]:
    """Compare each run's texts with the reference, the pairs of all runs together.

    prompt  template with the placeholders instruction, output_1, output_2
    folder  for the evaluator's configuration, which the package reads from a file
    Returns by run: metrics (win_rate, discrete_win_rate; 0 to 1), n_total, n_asked, n_parsed, draws, items.
    """
    annotator = _make_annotator(judge, prompt=prompt, folder=folder)
    rows = [
        {
            "instruction": pair.instruction,
            "output_1": pair.reference,
            "output_2": pair.candidate,
            "run": run,
            "id": pair.index,
        }
        for run, members in pairs.items()
        for pair in members
    ]
    unique = pd.DataFrame(rows)[["instruction", "output_1", "output_2"]].drop_duplicates()
    with _package_silent():
        annotated = annotator(unique, chunksize=None)
    preferences = {_content(row): row["preference"] for row in annotated}
    answers = {_content(_unswitched(answer)): answer for answer in annotator.annotators["judge"].answers}
    results = {}
    for run, members in pairs.items():
        items = [_item(pair, preferences, answers) for pair in members]
        results[run] = summarize(items) | describe_lengths(members) | {"items": items}
    return results


def summarize(items: Sequence[dict]) -> dict:
    """The package's `get_winrate` over items, brought to 0 to 1.

    items  with `preference`: 1 reference, 2 candidate, 1.5 draw, None where not parsed (left out, as there)
    """
    frame = pd.DataFrame({"preference": pd.Series([item["preference"] for item in items], dtype=float)})
    found = metrics.get_winrate(frame)
    valid = int(found["n_total"])
    error = found["standard_error"]
    discrete = found["discrete_win_rate"] / 100 if valid else None
    rate = {"stderr": float(error) / 100 if valid > 1 else None, "n": valid, "higher_is_better": True}
    return {
        "metrics": {
            "win_rate": {"score": float(found["win_rate"]) / 100 if valid else None, **rate},
            "discrete_win_rate": {"score": discrete, **rate, "stderr": None},
        },
        "n_total": len(items),
        "n_asked": sum(item.get("asked", True) for item in items),
        "n_parsed": sum(item.get("asked", True) and item["preference"] is not None for item in items),
        "n_identical": sum(not item.get("asked", True) for item in items),
        "draws": int(found["n_draws"]),
    }


@contextmanager
def _package_silent() -> Iterator[None]:
    """The package logs a traceback for each answer that it cannot parse; they are counted and kept here."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _make_annotator(judge: Judge, *, prompt: str, folder: Path) -> _Annotator:
    folder = folder.resolve()
    write_text(folder / "prompt.txt", prompt)
    patterns = judge.judge.get("patterns") or DEFAULT_PATTERNS
    configuration = {
        "judge": {
            "prompt_template": str(folder / "prompt.txt"),
            "completion_parser_kwargs": {"outputs_to_match": {int(key): value for key, value in patterns.items()}},
            "batch_size": 1,  # pairs in one prompt
        }
    }
    write_text(folder / "configs.yaml", yaml.safe_dump(configuration))
    annotator = _Annotator(annotators_config=str(folder / "configs.yaml"), caching_path=None)
    single = annotator.annotators["judge"]

    def readable(answer: str) -> bool:
        return bool(answer) and len(single.fn_completion_parser(answer)) == 1  # the package's rule for one pair

    single.fn_completions = lambda prompts, **_: {"completions": judge.answers(prompts, readable=readable)}
    return annotator


def _content(row: dict) -> tuple[str, str, str]:
    return row["instruction"], row["output_1"], row["output_2"]


def _unswitched(answer: dict) -> dict:
    if not answer["is_switched_outputs"]:
        return answer
    return {**answer, "output_1": answer["output_2"], "output_2": answer["output_1"]}


def _item(pair: Pair, preferences: dict, answers: dict) -> dict:
    """One pair: preference (1 reference, 2 candidate, 1.5 draw, None not parsed), raw answer and order."""
    key = (pair.instruction, pair.reference, pair.candidate)
    if pair.identical:
        return {"id": pair.index, "preference": DRAW, "asked": False}
    preference: Any = preferences.get(key)
    missing = preference is None or pd.isna(preference)
    answer = answers[key]
    shown = {
        "raw": answer["preference_raw_completion"],
        "candidate_first": bool(answer["is_switched_outputs"]),
    }
    return {"id": pair.index, "preference": None if missing else float(preference), "asked": True} | shown
