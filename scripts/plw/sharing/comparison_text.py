"""What `plw compare` found, for the terminal: what differs beyond noise, and how much was compared."""

from typing import Any

MEANS = {
    "benchmarks": "Means of benchmarks (Figures 1, 3 and 5 to 9, Table 4)",
    "measures": "Measures of the mechanism (Figure 2)",
    "regressions": "Coefficients (Table 3)",
}
MADE = 6  # differences of versions that are shown


def comparison_text(found: dict[str, Any]) -> str:
    """The comparison in lines; what does not differ is counted, not listed."""
    lines = [
        f"{letter}: {side['name']} ({side['folder']}), {side['runs']} runs"
        for letter, side in zip("AB", found["sides"], strict=True)
    ]
    lines += _designs(found["designs"]) + _made(found["made"])
    for key, title in MEANS.items():
        lines += _rows(title, found[key])
    lines += _optima(found["optima"]) + _claims(found["claims"])
    return "\n".join(lines)


def _designs(designs: dict[str, Any]) -> list[str]:
    lines = []
    for words, entry in designs.items():
        if words == "ptlms_pooled":
            continue
        for key, letter in (("only_first", "A"), ("only_second", "B")):
            if entry[key]:
                lines.append(f"  {words} only in {letter}: {', '.join(f'{value}' for value in entry[key])}")
    if designs["ptlms_pooled"]:
        lines.append("  no ptlm is in both: each side's are averaged, so what differs may be the models'")
    return ["The designs differ; only what both have is compared." if lines else "The designs are the same.", *lines]


def _made(made: dict[str, dict]) -> list[str]:
    if not made:
        return ["No other commit, machine or version is recorded."]
    shown = list(made.items())[:MADE]
    more = f", and {len(made) - MADE} more" if len(made) > MADE else ""
    words = "; ".join(f"{name} {', '.join(each['first'])} → {', '.join(each['second'])}" for name, each in shown)
    return [f"Made with other: {words}{more}."]


def _rows(title: str, rows: list[dict]) -> list[str]:
    if not rows:
        return [f"{title}: not in both."]
    differing = [row for row in rows if row["differs"]]
    unknown = sum(row["differs"] is None for row in rows)
    lines = [f"{title}: {len(differing)} of {len(rows)} differ beyond noise."]
    if unknown:
        lines[0] += f" Of {unknown} the noise is not known."
    for row in differing:
        interval = f" [{row['low']:+.3g}, {row['high']:+.3g}]" if row.get("low") is not None else ""
        lines.append(
            f"  {row['role']}, {row['name']}: {row['first']:.3f} → {row['second']:.3f},"
            f" {row['difference']:+.3g}{interval}, p {row['p_holm']:.2g} (Holm)"
        )
    return lines


def _optima(rows: list[dict]) -> list[str]:
    title = "Optimal PLWs (Table 5, Figure 10)"
    if not rows:
        return [f"{title}: not in both."]
    apart = [row for row in rows if row["differs"]]
    lines = [f"{title}: {len(apart)} of {len(rows)} have intervals that are apart."]
    for row in apart:
        intervals = [f"[{low:.3g}, {high:.3g}]" for low, high in row["intervals"]]
        values = [f"{row[side]:.3g} {interval}" for side, interval in zip(("first", "second"), intervals, strict=True)]
        lines.append(f"  {row['type']}, R_g {row['r_g']:g}: {values[0]} → {values[1]}")
    return lines


def _claims(rows: list[dict]) -> list[str]:
    if not rows:
        return ["Claims: not in both."]
    other = [row for row in rows if row["other_verdict"]]
    beyond = sum(bool(row["differs"]) for row in rows)
    lines = [f"Claims: {len(other)} of {len(rows)} have another verdict; {beyond} estimates differ beyond noise."]
    for row in rows:
        if row["other_verdict"] or row["differs"]:
            noise = {True: "beyond noise", False: "within noise", None: "noise not known"}[row["differs"]]
            values = [_estimate(row, side) for side in (0, 1)]
            said = " → ".join(f"{verdict} ({value})" for verdict, value in zip(row["verdicts"], values, strict=True))
            lines.append(f"  {row['id']}: {said}, {noise}. {row['text']}")
    return lines


def _estimate(row: dict, side: int) -> str:
    value, interval = row[("first", "second")[side]], row["intervals"][side]
    if value is None:
        return "no estimate"
    known = interval and None not in interval
    return f"{value:.3g}" + (f" [{interval[0]:.3g}, {interval[1]:.3g}]" if known else "")
