"""gpu.json as a Markdown table, and its place in docs/measurements.md."""

MARK = "results/gpu.json"
NOTHING = "No `gpu.json` has been measured yet: there are no figures of a GPU here."


def section(found: dict | None) -> str:
    """What stands between the marks: the device and a row for each part, or that nothing was measured."""
    if found is None:
        return NOTHING
    device, versions = found["device"], found["versions"]
    known = (f"{name} {versions[name]}" for name in ("torch", "transformers", "deepspeed") if versions.get(name))
    about = [device["name"], device["driver"] and f"driver {device['driver']}", *known]
    about += [found["commit"] and f"commit {found['commit'][:12]}", f"{found['seconds']:.0f} s in all"]
    lines = [f"Measured on {', '.join(filter(None, about))}.", "", "| part | what | values |", "|---|---|---|"]
    for name, part in found["parts"].items():
        shown = _shown(part["values"]) if part["status"] == "measured" else f"{part['status']}: {part['reason']}"
        lines.append(f"| {name} | {part['about']} | {shown.replace('|', '/')} |")
    return "\n".join(lines)


def put_section(document: str, text: str, mark: str = MARK) -> str:
    """The document with `text` between the marks of that name; ValueError where it has none."""
    opening, closing = f"<!-- begin: {mark} -->", f"<!-- end: {mark} -->"
    before, begin, rest = document.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise ValueError(f"the document has no {opening} … {closing}")
    return f"{before}{opening}\n{text}\n{closing}{after}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_shown(one)}" if not isinstance(one, dict) else f"**{key}** {_shown(one)}"
                         for key, one in value.items())  # fmt: skip
    if isinstance(value, list):
        return " to ".join(_shown(one) for one in value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
