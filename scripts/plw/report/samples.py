"""What the models write, side by side across PLWs: generations and training prompts that were learnt by heart.

Prompts are chosen by their position, never by what was written.
"""

from plw.report.tables import plain_table

MOST_PLWS = 12  # stops of the slider that fit a phone's width; templates/style.css.j2 has a rule for each
MAX_CHARACTERS = 700  # what a card holds on a phone without burying the next one


def evenly(items: list, most: int) -> list:
    """Up to `most` items spread evenly over the list, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return items[:most]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def cut(text: str, *, limit: int = MAX_CHARACTERS) -> dict:
    """A text for a card: {text, left_out}, where `left_out` counts the characters beyond `limit`."""
    return {"text": text[:limit], "left_out": max(0, len(text) - limit)}


def plain_runs(rows: list[dict], study: dict) -> list[dict]:
    """Runs to show: of the data set in AlpacaDataShort's place (else the first), without another regularizer, of the
    most frequent normalization and seed.

    rows   run table rows with run, ptlm, dataset, plw, normalization, regularizer, seed
    """
    roles = {name: entry.get("stands_for") for name, entry in study.get("datasets", {}).items()}
    rows = [row for row in rows if row["regularizer"] == "none"]
    if not rows:
        return []
    names = [row["dataset"] for row in rows]
    dataset = next((name for name in names if roles.get(name) == "AlpacaDataShort"), names[0])
    rows = [row for row in rows if row["dataset"] == dataset]
    for factor in ("normalization", "seed"):
        values = [row[factor] for row in rows]
        rows = [row for row in rows if row[factor] == max(dict.fromkeys(values), key=values.count)]
    wanted = evenly(sorted({row["plw"] for row in rows}), MOST_PLWS)
    return sorted((row for row in rows if row["plw"] in wanted), key=lambda row: (row["ptlm"], row["plw"]))


def _blocks(rows: list[dict], study: dict, texts: dict[str | None, list[tuple[str, dict]]], prompts: int) -> list[dict]:
    """Blocks of one prompt each: a line for each ptlm, a cell for each PLW (None where that run lacks the prompt)."""
    first = max(texts.values(), key=len, default=[])
    order = list(study.get("ptlms", {}))
    ptlms = sorted({row["ptlm"] for row in rows}, key=lambda name: order.index(name) if name in order else len(order))
    plws = sorted({row["plw"] for row in rows})
    runs = {(row["ptlm"], row["plw"]): row["run"] for row in rows}
    blocks = []
    for index in evenly(list(range(len(first))), prompts):
        prompt, head = first[index]
        lines = []
        for ptlm in ptlms:
            found = [dict(texts.get(runs.get((ptlm, plw)), ())).get(prompt) for plw in plws]
            label = study.get("ptlms", {}).get(ptlm, {}).get("label", ptlm)
            lines.append({"ptlm": label, "cells": [{"plw": p, "cell": c} for p, c in zip(plws, found, strict=True)]})
        blocks.append({"prompt": cut(prompt), "reference": head.get("reference"), "lines": lines})
    return blocks


def _view(rows: list[dict], study: dict, blocks: list[dict], of: int) -> dict | None:
    if not blocks:
        return None
    name = rows[0]["dataset"]
    label = study.get("datasets", {}).get(name, {}).get("label", name)
    return {"dataset": label, "plws": sorted({row["plw"] for row in rows}), "blocks": blocks, "of": of}


def generations_view(
    generations: dict[str, dict], *, rows: list[dict], study: dict, benchmark: str, prompts: int = 4
) -> dict | None:
    """Answers to a few prompts of a judged benchmark, side by side across PLWs; None where there are none.

    generations  run -> its BENCHMARK.outputs.json: {outputs: [{instruction, output, tokens, finished}]}
    rows         run table rows; see plain_runs
    """
    rows = plain_runs([row for row in rows if row["run"] in generations], study)
    texts = {}
    for row in rows:
        outputs = generations[row["run"]]["outputs"]
        texts[row["run"]] = [
            (
                "\n\n".join(part for part in (item["instruction"], item.get("input")) if part),
                {
                    **cut(item["output"]),
                    "note": _length(item),
                },
            )
            for item in outputs
        ]
    view = _view(rows, study, _blocks(rows, study, texts, prompts), max(map(len, texts.values()), default=0))
    return view and {**view, "benchmark": benchmark}


def _length(item: dict) -> str:
    note = f"{item['tokens']} tokens" if item.get("tokens") is not None else ""
    return f"{note}, cut off at the limit" if item.get("finished") is False else note


def memorisation_view(mechanisms: list[dict], *, rows: list[dict], study: dict, prompts: int = 3) -> dict | None:
    """Completions of training prompts beside their training completion, across PLWs; None where none were made.

    mechanisms   mechanism.json of runs: {run, memorisation: null | {bleu, samples: [{prompt, reference, output}]}}
    """
    measured = {found["run"]: found["memorisation"] for found in mechanisms if found.get("memorisation")}
    rows = plain_runs([row for row in rows if row["run"] in measured], study)
    texts = {
        row["run"]: [
            (item["prompt"], {**cut(item["output"]), "note": "", "reference": cut(item["reference"])})
            for item in measured[row["run"]].get("samples", [])
        ]
        for row in rows
    }
    view = _view(rows, study, _blocks(rows, study, texts, prompts), max(map(len, texts.values()), default=0))
    return view and {**view, "bleu": _bleu_table(rows, study, measured)}


def _bleu_table(rows: list[dict], study: dict, measured: dict[str, dict]) -> dict:
    plws = sorted({row["plw"] for row in rows})
    lines = []
    for ptlm in dict.fromkeys(row["ptlm"] for row in rows):
        found = {row["plw"]: measured[row["run"]]["bleu"] for row in rows if row["ptlm"] == ptlm}
        label = study.get("ptlms", {}).get(ptlm, {}).get("label", ptlm)
        lines.append([label, *(f"{found[plw]:.1f}" if plw in found else "–" for plw in plws)])
    return plain_table(["corpus BLEU", *(f"PLW {plw:g}" for plw in plws)], lines, right_from=1)
