"""A recommendation as text for a terminal."""

import textwrap
from typing import Any

WIDTH = 100
BAR = 40  # characters of the longest bar of the histogram
PURPOSE_WORDS = {
    "all": "all benchmarks",
    "multiple_choice": "multiple choice and short answers",
    "generation": "long answers",
}


def weight_line(found: dict[str, Any]) -> str:
    """The answer in one line."""
    if found["matters"]:
        kind = "span of the paper's numbers" if found["source"] == "paper" else "90 % interval"
        return f"prompt loss weight {found['plw']:.3g} ({found['low']:.3g} to {found['high']:.3g}, {kind})"
    if found["source"] == "paper":
        return "the prompt loss weight hardly matters here: keep what your trainer has"
    return "no effect of the prompt loss weight was seen here: keep what your trainer has"


def lengths_lines(lengths: dict[str, Any]) -> list[str]:
    """Rows, what was left out of them, ratios, histogram and what the loss sees."""
    rows, r_g = lengths["rows"], lengths["r_g"]
    lines = [f"Rows: {rows['kept']:,} of {rows['read']:,} read, format {rows['format']}."]
    lines += [("  kept: " if reason["kept"] else "  left out: ") + reason["said"] for reason in rows["met"].values()]
    if lengths["unit"] == "tokens":
        lines.append(
            f"R_g: {r_g['ratio_of_mean_tokens']:.3g} (mean tokens, as Table 1), {_shown(r_g['mean_of_token_ratios'])}"
            f" (mean of ratios, §2.1), {r_g['ratio_of_mean_characters']:.3g} (characters)"
        )
    else:
        low, high = lengths["ratio_low"], lengths["ratio_high"]
        lines.append(
            f"R_g: {lengths['ratio']:.3g} in characters; in tokens probably {low:.3g} to {high:.3g} (English text,"
            " LLaMA's tokenizer; --tokenizer counts)"
        )
    side = "short" if lengths["ratio"] < 1 else "long"
    share = _share(lengths["short_share"])
    lines.append(f"  by the paper these are {side}-completion data (§2.1); {share} of the rows are short")
    lines += [f"  {line}" for line in histogram_lines(lengths["histogram"])]
    loss = lengths["loss"]
    said = f"The loss sees {loss['completion']:.0f} completion and {loss['prompt']:.0f} prompt {lengths['unit']} a row"
    lines.append(f"{said} (template included): ratio {_shown(loss['ratio'])}")
    if loss["truncated"] is not None:
        cut = f"  cut at {loss['max_length']} tokens: {loss['truncated']:,} rows; whole completion lost:"
        lines.append(f"{cut} {loss['completion_lost']:,}")
    return lines


def histogram_lines(histogram: list[dict]) -> list[str]:
    """Rows by their own ratio as bars."""
    most = max(1, *(part["rows"] for part in histogram))
    lines = []
    for part in histogram:
        name = f"{part['low']:g}–{part['high']:g}" if part["high"] else f"over {part['low']:g}"
        bar = "█" * round(part["rows"] / most * BAR)
        lines.append(f"{name:>9} {bar} {part['rows']:,}" if bar else f"{name:>9} {part['rows']:,}")
    return lines


def as_text(found: dict[str, Any]) -> str:
    """The whole recommendation."""
    lines = [f"{found['data']}: {weight_line(found)}", f"For: {PURPOSE_WORDS[found['purpose']]}.", ""]
    lines += lengths_lines(found["lengths"])
    lines += ["", "Why:", *_list(found["for_reasons"])]
    if found["against"]:
        lines += ["", "What speaks against it:", *_list(found["against"])]
    lines += ["", "How to set it:" if found["matters"] else "How to mask the prompt (weight 0):"]
    for row in found["trainers"]:
        settings = row["settings"].splitlines()
        lines.append(f"  {row['trainer']}: {settings[0] if row['can'] else 'cannot; ' + settings[0]}")
        lines += [" " * (len(row["trainer"]) + 4) + line for line in settings[1:]]
    if found["matters"]:
        lines += [
            "",
            "The same weight under other denominators; the completion's share of the loss, 1 with a masked prompt:",
        ]
        lines += [f"  {row['factor']:.3f}  {row['normalization']} ({row['said']})" for row in found["denominators"]]
    return "\n".join(lines)


def _list(sentences: list[str]) -> list[str]:
    return [
        line for text in sentences for line in textwrap.wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ")
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
