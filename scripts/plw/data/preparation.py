"""From an entry under `datasets` to instances and a report: read a source, invert a parent, or draw its rows."""

import random
import warnings
from collections.abc import Callable, Sequence

from plw.data.instances import MOST_LEFT_OUT, Instance, read_instances
from plw.data.inversion import apply_rule
from plw.data.ratios import Measure, measure_of
from plw.errors import InputError
from plw.study.sources import read_rows, resolve_source

INVERSION_DEFAULTS = {
    "rule": "all",
    # DEVIATION: characters instead of App. A's "tokenized lengths", because only characters reproduce Table
    # 1's inverted rows (DatabricksDollyShort: 3,122,209 tokens; the token rule gives 3,125,437).
    "unit": "characters",
    "r_g": None,
    "tolerance": 0.02,  # relative; App. D prints its targets with two digits
    "seed": 42,  # the paper's only seed (Limitations 2)
}
SUBSET_DEFAULTS = {"rows": None, "seed": 42}  # the paper's only seed


def read_dataset(name: str, entry: dict, registry: dict[str, dict]) -> tuple[list[Instance], dict]:
    """Instances and row report of a data set with a source of its own.

    entry     keys source, and perhaps format, turns, limit, strict, most_left_out
    registry  config/sources.yaml, for a source that is given by name
    """
    place = f"datasets.{name}"
    source = resolve_source(entry["source"], registry, where=f"{place}.source")
    instances, report = read_instances(
        read_rows(source, where=f"{place}.source"),
        entry.get("format", "alpaca"),
        turns=entry.get("turns", "first"),
        limit=entry.get("limit"),
        strict=entry.get("strict", False),
        most_left_out=entry.get("most_left_out", MOST_LEFT_OUT),
        where=place,
    )
    return instances, {"dataset": name, "source": source, **report.as_json(), "rows_inverted": 0}


def derive_dataset(
    name: str, entry: dict, parent: Sequence[Instance], load_counter: Callable[[], Measure | None]
) -> tuple[list[Instance], dict]:
    """Instances and row report of a data set that is inverted or drawn from `parent`.

    entry         keys from, and inversion {rule, unit, r_g, tolerance, seed}, see INVERSION_DEFAULTS, or
                  subset {rows, seed}, see SUBSET_DEFAULTS
    load_counter  gives the token counter (None: there is no tokenizer); called only where tokens are counted
    """
    place = f"datasets.{name}"
    if "subset" in entry:
        return _draw_dataset(name, entry, parent)
    settings = _settings(entry, "inversion", INVERSION_DEFAULTS, place)
    if any(instance.turns for instance in parent):
        hint = f"Invert a data set that reads the first exchange alone ({entry.get('from')} without turns: all)."
        raise InputError("Whole conversations have no inversion.", where=f"{place}.from", hint=hint)
    needs_tokens = settings["unit"] == "tokens" or settings["rule"] != "all"
    counter = load_counter() if needs_tokens else None
    result = apply_rule(
        parent,
        measure_of(settings["unit"], counter),
        counter,
        rule=settings["rule"],
        r_g=settings["r_g"],
        seed=settings["seed"],
    )
    within = None
    if result.achieved is not None:
        within = abs(result.achieved / settings["r_g"] - 1) <= settings["tolerance"]
        if not within:
            warnings.warn(
                f"{place}: R_g is {result.achieved:.4g}, further from {settings['r_g']} than the tolerance of"
                f" {settings['tolerance']:.0%}; the data set is too small for this target.",
                stacklevel=2,
            )
    report = {
        "dataset": name,
        "from": entry.get("from"),
        "rows_read": len(parent),
        "rows_kept": len(result.instances),
        "rows_dropped": result.rows_left_out,
        "rows_inverted": sum(instance.inverted for instance in result.instances),
        "inversion": {**settings, "achieved": result.achieved, "within_tolerance": within},
    }
    return result.instances, report


def draw_rows(instances: Sequence[Instance], rows: int, *, seed: int) -> list[Instance]:
    """So many of the instances, drawn without replacement, in their own order.

    Of one seed the smaller draw lies in the larger one: both begin the same random order.
    """
    order = list(range(len(instances)))
    random.Random(seed).shuffle(order)
    return [instances[index] for index in sorted(order[:rows])]


def _draw_dataset(name: str, entry: dict, parent: Sequence[Instance]) -> tuple[list[Instance], dict]:
    settings = _settings(entry, "subset", SUBSET_DEFAULTS, f"datasets.{name}")
    if settings["rows"] > len(parent):
        raise InputError(
            "More rows are asked for than the data set has.",
            value=settings["rows"],
            where=f"datasets.{name}.subset.rows, or the key examples of an experiment",
            hint=f"{entry.get('from')} has {len(parent):,} rows after reading: ask for no more, or for `all`.",
        )
    drawn = draw_rows(parent, settings["rows"], seed=settings["seed"])
    return drawn, {
        "dataset": name,
        "from": entry.get("from"),
        "rows_read": len(parent),
        "rows_kept": len(drawn),
        "rows_dropped": len(parent) - len(drawn),
        "rows_inverted": sum(instance.inverted for instance in drawn),
        "subset": settings,
    }


def _settings(entry: dict, kind: str, defaults: dict, place: str) -> dict:
    """The settings of a derivation with their defaults; InputError for keys that mean nothing here."""
    given = entry.get(kind) or {}
    unknown = [key for key in given if key not in defaults]
    if unknown:
        hint = f"known keys: {', '.join(defaults)}"
        what = f"Unknown key of {'an inversion' if kind == 'inversion' else 'a subset'}."
        raise InputError(what, value=unknown[0], where=f"{place}.{kind}", hint=hint)
    for key in ("limit", "strict", "most_left_out", "format", "turns"):
        if key in entry:
            hint = f"Set it on the parent {entry.get('from')!r}: a derived data set takes all of its rows."
            raise InputError(f"A derived data set has no {key}.", value=entry[key], where=f"{place}.{key}", hint=hint)
    return {**defaults, **given}
