"""Figures and tables of the report, in the paper's order, each with what the paper says of it and what is seen."""

import base64
import io
import re

from PIL import Image

from plw.report.sources import artifact_source
from plw.report.tables import read_table

# A page holds a dozen figures; beyond this width (pixels) a PNG costs space that no screen or A4 print shows.
MAX_IMAGE_WIDTH = 2400
READABLE = 1200  # pixels; shrunk to a phone's 400, letters of 8 points at 200 dpi are 7 pixels high
COLOURS = (256, 64, 32)  # of a palette: a third of the bytes; fewer where a page would grow beyond MOST_BYTES
MOST_BYTES = 2_000_000  # of all images of a page, as text


def paper_order(name: str) -> tuple:
    """Sort key: figures by number, then tables by number, then anything else by name."""
    found = re.fullmatch(r"(figure|table)_(\d+)", name)
    if not found:
        return (2, 0, name)
    return (("figure", "table").index(found[1]), int(found[2]), name)


def paper_name(name: str) -> str:
    """'figure_1' as the paper calls it, 'Figure 1'; '' for one that the paper does not have."""
    return name.replace("_", " ").capitalize() if paper_order(name)[0] < 2 else ""


def embedded_images(contents: dict[str, bytes], *, most: int = MOST_BYTES) -> dict[str, dict]:
    """Each PNG of the contents as `embedded_image` gives it, in as many colours as keep all within `most` bytes."""
    pictures = {name: content for name, content in contents.items() if content.startswith(b"\x89PNG")}
    found: dict[str, dict] = {}
    for colours in COLOURS:
        found = {name: embedded_image(content, colours=colours) for name, content in pictures.items()}
        if sum(len(image["address"]) for image in found.values()) <= most:
            break
    return found


def embedded_image(content: bytes, *, max_width: int = MAX_IMAGE_WIDTH, colours: int = COLOURS[0]) -> dict:
    """A PNG that a page can hold itself: {address, wide, width, height}, scaled down to `max_width` pixels if wider.

    On white and with a palette where that is smaller. `wide` images would be unreadable at the width of a phone, so the
    page lets them scroll there.
    """
    with Image.open(io.BytesIO(content)) as image:
        opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
        if scaled := opaque.width > max_width:
            size = (max_width, round(opaque.height * max_width / opaque.width))
            opaque = opaque.resize(size, Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        opaque.quantize(colours, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    if scaled or stream.tell() < len(content):
        content = stream.getvalue()
    return {
        "address": "data:image/png;base64," + base64.b64encode(content).decode("ascii"),
        "wide": opaque.width > READABLE,
        "width": opaque.width,
        "height": opaque.height,
    }


def artifact_views(contents: dict[str, bytes], *, titles: dict, sentences: dict, claims: list[dict]) -> list[dict]:
    """One entry for each artifact in the paper's order.

    contents   name -> the PNG of a figure or the UTF-8 Markdown of a table
    titles     config/artifacts.yaml; a name that it lacks is its own title and answers no question
    sentences  `artifacts` of config/paper_sentences.yaml: name -> {says, claims: [ids], here}
    claims     rows of plw.report.claims.claim_rows; what is read aloud for a figure ends with the verdicts on it
    """
    verdicts = {claim["id"]: claim["verdict"] for claim in claims}
    images = embedded_images(contents)
    views = []
    for name in sorted(contents, key=paper_order):
        entry, sentence = titles.get(name) or {}, sentences.get(name) or {}
        title = entry.get("title") or paper_name(name) or name
        judged = [f"{key} {verdicts[key]}" for key in sentence.get("claims", ()) if key in verdicts]
        views.append(
            {
                "name": name,
                "number": paper_name(name),
                "title": title,
                "place": entry.get("place", "").removeprefix(f"{paper_name(name)}, "),
                "question": entry.get("question"),
                "caption": entry.get("caption", ""),
                "alt": (entry.get("alt") or title) + (f" Verdicts on it: {', '.join(judged)}." if judged else ""),
                "says": sentence.get("says"),
                "here": sentence.get("here"),
                "source": artifact_source(name),
                "image": images.get(name),
                "table": None if name in images else read_table(contents[name].decode("utf-8")),
            }
        )
    return views


def absent_artifacts(contents: dict[str, bytes], titles: dict, reasons: dict[str, str] | None = None) -> list[str]:
    """Artifacts that have a title but are not on this page, as the paper calls them, each with its reason where known.

    reasons  name -> why this study does not make it
    """
    names = [name for name in sorted(titles, key=paper_order) if name not in contents]
    called = {name: paper_name(name) or titles[name].get("title", name) for name in names}
    return [text + (f" ({reasons[name]})" if reasons and name in reasons else "") for name, text in called.items()]
