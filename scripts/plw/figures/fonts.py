"""Fonts for what people write: letters that the style's font lacks come from a font of this machine, or are refused.

The style's own font comes with matplotlib and has Latin, Greek, Cyrillic, Hebrew and Arabic letters. For others
(Chinese, Japanese, Korean, Devanagari, Thai, emoji, …) the machine's fonts are searched, in the order of their paths.
Light import: the workflow checks each study's labels before anything runs, and almost all need no other font.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from plw.errors import InputError, InputErrors

ALWAYS = 0x180  # ASCII, Latin-1 and Latin Extended-A: every font that a style may sensibly name has them
# First words of Unicode's names of letters, and the Debian package with a font that has them and that can be drawn.
PACKAGES = {
    ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH", "BOPOMOFO"): "fonts-noto-cjk",
    ("DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "THAI", "ETHIOPIC", "KHMER", "MYANMAR", "TIBETAN", "SINHALA"): (
        "fonts-noto-core"
    ),
}
OTHER_PACKAGE = "fonts-symbola"  # emoji and symbols as outlines; colour fonts of bitmaps cannot be drawn
EXAMPLES = 8  # letters that a message shows


def labels_of(entry: Mapping) -> dict[str, str]:
    """What figures draw of a ptlm's, data set's or benchmark's entry, by its key."""
    return {key: entry[key] for key in ("label", "metric") if key in entry}


def strings_in(value: object) -> Iterator[str]:
    """Every text in nested lists and mappings (keys left out)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings_in(item)


def unusual(*values: object) -> str:
    """The letters of all texts in `values` that not every font has, each once, in order; a new line is no letter."""
    letters = dict.fromkeys(letter for value in values for text in strings_in(value) for letter in text)
    return "".join(letter for letter in letters if letter != "\n" and not (" " <= letter < chr(ALWAYS)))


def families_for(letters: str, families: Sequence[str]) -> tuple[list[str], str]:
    """`families` and those of this machine that also have `letters`; second, the letters that no font has."""
    from matplotlib import font_manager

    known = [font_manager.findfont(family) for family in families]
    lacking = "".join(letter for letter in letters if not any(_draws(path, letter) for path in known))
    found = list(families)
    for path in sorted(font_manager.findSystemFonts()) if lacking else []:
        has = "".join(letter for letter in lacking if _draws(path, letter))
        if has:
            font_manager.fontManager.addfont(path)  # matplotlib's own list of fonts may be older than this font
            found.append(font_manager.get_font(path).family_name)
            lacking = "".join(letter for letter in lacking if letter not in has)
    return found, lacking


@cache
def _font(path: str):
    """A font of outlines, or None: colour fonts of bitmaps cannot be drawn."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError, ValueError):  # no font, a broken one, or a form that FreeType does not know
        return None
    return font if font.scalable else None


def _draws(path: str, letter: str) -> bool:
    """Whether a font has a letter, as an outline where it is one that is seen."""
    font = _font(path)
    if font is None or unicodedata.category(letter) in ("Cc", "Cs", "Cn") or not font.get_char_index(ord(letter)):
        return False
    if unicodedata.category(letter)[0] in "CZM":  # spaces, joiners, marks
        return True
    font.load_char(ord(letter))
    return len(font.get_path()[0]) > 0


def as_family_list(family: str | Sequence[str]) -> list[str]:
    """matplotlib's font.family as a list."""
    return [family] if isinstance(family, str) else list(family)


def with_fonts(style: dict, *values: object) -> dict:
    """The style with fonts for all letters in `values` (texts, or lists and mappings of them).

    Raises InputError that names the letters which no font of this machine has.
    """
    letters = unusual(*values)
    if not letters:
        return style
    families, lacking = families_for(letters, as_family_list(style["matplotlib"]["font.family"]))
    if lacking:
        raise refused(lacking)
    changes: dict = {"font.family": families}
    if len(families) > len(as_family_list(style["matplotlib"]["font.family"])):
        changes["pdf.fonttype"] = 3  # as outlines: type 42 loses the letters of OpenType fonts like Noto's CJK
    return {**style, "matplotlib": {**style["matplotlib"], **changes}}


def refused(letters: str, **place: str) -> InputError:
    """The error that no font has `letters`; place: `where` the text was set."""
    names = [_words(letter) for letter in letters[:EXAMPLES]] + ["…"] * (len(letters) > EXAMPLES)
    packages = " ".join(dict.fromkeys(_package(letter) for letter in letters if unicodedata.category(letter) != "Cc"))
    install = f"`apt-get install {packages}` (Debian, Ubuntu), elsewhere a Noto font. " if packages else ""
    return InputError(
        f"No font on this machine can draw {'these letters' if len(letters) > 1 else 'this letter'} of a figure: "
        f"{', '.join(names)}.",
        hint=f"{install}{'Or write' if install else 'Write'} it with other letters.",
        **place,
    )


def _words(letter: str) -> str:
    code = f"U+{ord(letter):04X}"
    return f"{letter} ({code})" if letter.isprintable() else code


def _package(letter: str) -> str:
    first = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
    return next((package for words, package in PACKAGES.items() if first in words), OTHER_PACKAGE)


def check_labels(study: dict, style: dict) -> None:
    """Raise InputErrors for every label of a study that cannot be drawn, with its key.

    study  resolved; style: of its figures
    """
    labels = {
        f"{registry}.{name}.{key}": label
        for registry in ("ptlms", "datasets", "benchmarks")
        for name, entry in study[registry].items()
        for key, label in labels_of(entry).items()
    }
    letters = unusual(list(labels.values()))
    lacking = families_for(letters, as_family_list(style["matplotlib"]["font.family"]))[1] if letters else ""
    wrong = {place: "".join(letter for letter in lacking if letter in label) for place, label in labels.items()}
    errors = [refused(found, where=f"study {study['name']}, key {place}") for place, found in wrong.items() if found]
    if errors:
        raise InputErrors(errors)
