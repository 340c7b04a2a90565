"""Figures and tables of the report, in the paper's order, each beside what the paper says and what came out here."""

import base64
import io
import re

from PIL import Image

from plw.report.tables import read_table

# A page holds ten figures; beyond this width (pixels) a PNG costs space that no screen or A4 print shows.
MAX_IMAGE_WIDTH = 2400


def paper_order(name: str) -> tuple:
    """Sort key: figures by number, then tables by number, then anything else by name."""
    found = re.fullmatch(r"(figure|table)_(\d+)", name)
    if not found:
        return (2, 0, name)
    return (("figure", "table").index(found[1]), int(found[2]), name)


def paper_name(name: str) -> str:
    """'figure_1' as the paper calls it: 'Figure 1'."""
    return name.replace("_", " ").capitalize()


def embedded_image(content: bytes, *, max_width: int = MAX_IMAGE_WIDTH) -> dict:
    """A PNG that a page can hold itself: {address, wide}; scaled down to `max_width` pixels if wider.

    `wide` images would be unreadable at the width of a phone, so the page lets them scroll there.
    """
    with Image.open(io.BytesIO(content)) as image:
        wide = image.width > 1.3 * image.height
        if image.width > max_width:
            height = round(image.height * max_width / image.width)
            stream = io.BytesIO()
            image.convert("RGB").resize((max_width, height), Image.Resampling.LANCZOS).save(
                stream, "PNG", optimize=True
            )
            content = stream.getvalue()
    return {"address": "data:image/png;base64," + base64.b64encode(content).decode("ascii"), "wide": wide}


def artifact_views(contents: dict[str, bytes], *, titles: dict, sentences: dict, claims: list[dict]) -> list[dict]:
    """One entry for each artifact in the paper's order.

    contents   name -> the PNG of a figure or the UTF-8 Markdown of a table
    titles     config/artifacts.yaml; a name that it lacks is its own title
    sentences  `artifacts` of config/paper_sentences.yaml: name -> {says, claims: [ids], here}
    claims     rows of plw.report.claims.claim_rows; those that an artifact names are put beside it
    """
    by_id = {claim["id"]: claim for claim in claims}
    views = []
    for name in sorted(contents, key=paper_order):
        entry, sentence = titles.get(name) or {}, sentences.get(name) or {}
        is_image = contents[name].startswith(b"\x89PNG")
        views.append(
            {
                "name": name,
                "number": paper_name(name),
                "title": entry.get("title", paper_name(name)),
                "place": entry.get("place", "").removeprefix(f"{paper_name(name)}, "),
                "caption": entry.get("caption", ""),
                "says": sentence.get("says"),
                "here": sentence.get("here"),
                "claims": [by_id[key] for key in sentence.get("claims", ()) if key in by_id],
                "image": embedded_image(contents[name]) if is_image else None,
                "table": None if is_image else read_table(contents[name].decode("utf-8")),
            }
        )
    return views


def absent_artifacts(contents: dict[str, bytes], titles: dict, reasons: dict[str, str] | None = None) -> list[str]:
    """Artifacts that have a title but are not on this page, as the paper calls them, with the reason that is known.

    reasons  `plw.study.design.left_out_artifacts`
    """
    absent = [name for name in sorted(titles, key=paper_order) if name not in contents]
    known = reasons or {}
    return [paper_name(name) + (f" ({known[name]})" if name in known else "") for name in absent]
