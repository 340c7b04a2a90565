"""A recommendation as one HTML page without scripts and without anything from elsewhere."""

from html import escape
from typing import Any

from plw.recommend.words import PURPOSE_WORDS, histogram_lines, lengths_lines, weight_line

STYLE = """
:root { color-scheme: light dark; --bar: #0072b2; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere; } p { overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2rem .5rem .2rem 0;
vertical-align: top; border-bottom: 1px solid var(--line); font-weight: normal; }
.bar { background: var(--bar); height: .9rem; display: block; min-width: 1px; } .bars td:nth-child(2) { width: 60%; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .85rem; }
.scale { width: 100%; height: 3.5rem; } .scale text { font-size: 11px; fill: currentColor; }
"""


def as_page(found: dict[str, Any]) -> str:
    """The page: answer, its place on the scale of weights, lengths, reasons, what speaks against it, settings."""
    title = f"Prompt loss weight for {found['data']}"
    lengths = found["lengths"]
    bars = {line.strip() for line in histogram_lines(lengths["histogram"])}
    facts = [line for line in map(str.strip, lengths_lines(lengths)) if line not in bars]
    parts = [
        f"<h1>{escape(found['data'])}: {escape(weight_line(found))}</h1>",
        f"<p>For {escape(PURPOSE_WORDS[found['purpose']])}.</p>",
        _scale(found) if found["matters"] else "",
        "<h2>The data</h2>",
        "".join(f"<p>{escape(line)}</p>" for line in facts),
        "<table class='bars'><tr><th>R_g of a row</th><th></th><th>rows</th></tr>" + _bars(found) + "</table>",
        "<h2>Why</h2>" + _list(found["for_reasons"]),
        "<h2>What speaks against it</h2>" + _list(found["against"]) if found["against"] else "",
        "<h2>How to set it</h2>" if found["matters"] else "<h2>How to mask the prompt (weight 0)</h2>",
        "<table>" + "".join(_trainer(row) for row in found["trainers"]) + "</table>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n'


def _scale(found: dict[str, Any]) -> str:
    """The weight and its interval on the scale of w_p, on which the paper's weights are evenly spread."""
    from plw.scores.transform import to_w_p

    def at(plw: float) -> float:
        return 10 + 480 * to_w_p(plw)

    low, high, best = at(found["low"]), at(found["high"]), at(found["plw"])
    ticks = "".join(
        f'<line x1="{at(plw):.1f}" x2="{at(plw):.1f}" y1="28" y2="33" stroke="currentColor"/>'
        f'<text x="{at(plw):.1f}" y="46" text-anchor="middle">{plw:g}</text>'
        for plw in (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)
    )
    said = f"weight {found['plw']:.3g}, from {found['low']:.3g} to {found['high']:.3g}"
    return (
        f'<svg class="scale" viewBox="0 0 500 50" role="img" aria-label="{escape(said)}">'
        '<line x1="10" x2="490" y1="28" y2="28" stroke="currentColor"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="28" y2="28" stroke="var(--bar)" stroke-width="6"/>'
        f'<circle cx="{best:.1f}" cy="28" r="6" fill="#c8102e"/>{ticks}</svg>'
    )


def _bars(found: dict[str, Any]) -> str:
    histogram = found["lengths"]["histogram"]
    most = max(1, *(part["rows"] for part in histogram))
    return "".join(
        "<tr><td>"
        + (f"{part['low']:g} to {part['high']:g}" if part["high"] else f"over {part['low']:g}")
        + f"</td><td><span class='bar' style='width:{part['rows'] / most:.1%}'></span></td>"
        + f"<td>{part['rows']:,}</td></tr>"
        for part in histogram
    )


def _list(sentences: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>"


def _trainer(row: dict[str, Any]) -> str:
    settings = escape(row["settings"] if row["can"] else f"cannot; {row['settings']}")
    return f"<tr><td>{escape(row['trainer'])}</td><td><pre>{settings}</pre></td></tr>"
