"""Small made-up inputs of the report page for its tests."""

import io
from collections.abc import Callable

from PIL import Image
from plw.report.page import build_page, page_context
from plw.tables.table import to_markdown
from plw.tables.table_1 import table_1

STUDY = {
    "name": "test",
    "description": "A study of tests.",
    "seeds": [42],
    "ptlms": {"weak": {"label": "Weak", "stands_for": "LLaMA 1"}},
    "datasets": {
        "plain": {"label": "Plain", "stands_for": "AlpacaData"},
        "short": {"label": "Short", "stands_for": "AlpacaDataShort"},
    },
    "experiments": {"main": {"description": "PLW and performance"}},
    "benchmarks": {"alpaca_eval": {"label": "AlpacaEval"}},
}
RECORD = {
    "run": "r0",
    "ptlm": "weak",
    "plw": 0.1,
    "effective_loss": "Sum. Weights: 0.1 for prompt tokens.",
    "energy_joules": None,
    "versions": {"torch": "2"},
    "git": {"commit": "abc", "dirty": False},
    "device": {"model": None, "cpu": "a CPU", "type": "cpu"},
    "processes": 1,
    "seconds_in_all": 50.0,
    "tokens": 1000,
    "training": {"zero_stage": None},
}


def run_row(run: str, plw: float, **changes) -> dict:
    """One run of the score table."""
    row = {"run": run, "ptlm": "weak", "dataset": "short", "plw": plw, "normalization": "nonzero_count"}
    return {**row, "regularizer": "none", "strength": 0.0, "seed": 42, **changes}


def claim(**changes) -> dict:
    """One claim of a claims.json."""
    row = {"id": "C01", "place": "§5.2", "kind": "shape", "text": "A claim.", "estimand": "a rank"}
    return {**row, "verdict": "supported", "reason": "It is so.", "numbers": {"p": 0.01}, "partial": None, **changes}


def outputs(*texts: str) -> dict:
    """A file of generations, one prompt for each text."""
    items = [{"instruction": f"prompt {i}", "output": text, "tokens": 3} for i, text in enumerate(texts)]
    return {"outputs": items}


def mechanism(run: str, *texts: str) -> dict:
    """A mechanism.json with a sample for each text."""
    samples = [{"prompt": f"learnt {i}", "reference": "the truth", "output": text} for i, text in enumerate(texts)]
    return {"run": run, "memorisation": {"bleu": 50.0, "samples": samples}}


def picture(width: int, height: int) -> bytes:
    """A white PNG."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(stream, "PNG")
    return stream.getvalue()


def context(**changes) -> dict:
    """What the template shows, of a study with two runs of one data set unless changed."""
    given = {
        "study": STUDY,
        "scores_file": "scores.csv",
        "score_rows": [run_row("r0", 0.0), run_row("r1", 1.0)],
        "n_scores": 10,
        "artifacts": {},
        "titles": {},
        "run_records": [RECORD],
        "planned": 2,
    }
    return page_context(**{**given, **changes})


def page(**changes) -> str:
    """The whole page."""
    return build_page(context(**changes))


def whole_study(hostile: Callable[[], str]) -> dict:
    """The page's parts with a text of `hostile` wherever one comes from a study file, data, models or programs."""
    entry = {"name": "plain", "label": hostile(), "stands_for": "AlpacaData"}
    problems = {"wrong_type": {"count": 2, "kept": False, "first": [{"file": hostile(), "line": 3}]}}
    reading = {"dataset": "plain", "rows_read": 9, "rows_kept": 7, "rows_dropped": 2, "problems": problems}
    field = {"mean": 1.0, "sd": 1.0, "total": 9}
    ratios = ("ratio_of_mean_tokens", "mean_of_token_ratios", "ratio_of_mean_characters")
    statistics = {
        "rows": 7,
        "rows_inverted": 0,
        "total_tokens": 9,
        "counted_with": hostile(),
        "tokens": dict.fromkeys(("instruction", "input", "output", "prompt"), field),
        "r_g": dict.fromkeys(ratios),
    }
    table = table_1([entry], {"plain": statistics}, {"rows": {}, "text": {"r_g": {}}}, [reading])
    study = {
        "name": "test",
        "description": hostile(),
        "seeds": [42],
        "ptlms": {"weak": {"label": hostile()}},
        "datasets": {"plain": {"label": hostile()}, "short": {"label": hostile()}},
        "experiments": {"main": {"description": hostile()}},
        "benchmarks": {"alpaca_eval": {"label": hostile()}},
        "judges": {"alpaca_eval": {"prompt": hostile()}},
        "training": {"device": hostile()},
    }
    said = {name: hostile() for name in ("place", "text", "estimand", "reason", "partial")}
    record = {
        **RECORD,
        "effective_loss": hostile(),
        "versions": {"torch": hostile()},
        "git": {"commit": hostile(), "dirty": True},
        "device": {"model": hostile(), "cpu": "x", "type": "cpu"},
    }
    fit = {"dataset": "short", "model": hostile(), "converged": False}
    fit |= {"design": {"rows": 9}, "fit": {"error": hostile()}}
    return {
        "study": study,
        "paper_study": {"training": {"device": "cuda"}, "judges": {}},
        "scores_file": hostile(),
        "artifacts": {"table_1": to_markdown(table).encode()},
        "runs": [{"run": "r0", "experiments": "main"}],
        "run_records": [record],
        "missing": [{"run": hostile(), "benchmark": hostile(), "reason": hostile()}],
        "readings": [reading],
        "fits": [fit],
        "checks": [{"dataset": "short", "permutation": {"p": None, "reason": hostile()}, "reasons": {}}],
        "claims": {"claims": [claim(**said)], "noise": hostile()},
        "beside": {
            "study": hostile(),
            "claims": [claim(**said, verdict="inconclusive", numbers={hostile(): hostile()})],
        },
        "contradictions": [{"id": "I01", "place": hostile(), "text": hostile(), "here": hostile()}],
        "generations": {"r0": outputs(hostile()), "r1": outputs(hostile())},
        "mechanisms": [mechanism("r0", hostile())],
    }
