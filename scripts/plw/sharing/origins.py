"""Where a study's data, models and judges come from, for people and for programs, and their licences.

A study's sources are resolved (config/sources.yaml), so a licence is found by the place that an entry names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HUB = "https://huggingface.co"
PLACES = ("hub", "config", "url", "path")


@dataclass(frozen=True)
class Origin:
    """A source.

    name     a repository, an address or a local file
    url      where people find it; None for a local file
    licence  as config/sources.yaml has it; None where nothing is known
    version  revision or sum that pins it; None for a local file
    """

    name: str
    url: str | None
    licence: str | None
    version: str | None


def origin_of(source: Mapping, registry: Mapping[str, dict], *, kind: str = "data") -> Origin:
    """The origin of a resolved source.

    registry  config/sources.yaml
    kind      data or model: what a repository on the Hub is
    """
    entry = next((each for each in registry.values() if _same_place(each, source)), {})
    if "hub" in source:
        url = f"{HUB}/{'datasets/' * (kind == 'data')}{source['hub']}"
        return Origin(source["hub"], url, entry.get("licence"), source.get("revision"))
    if "url" in source:
        version = entry.get("revision") or source.get("sha256")
        return Origin(entry.get("resource", source["url"]), source["url"], entry.get("licence"), version)
    return Origin(str(source["path"]), None, None, None)


def _same_place(entry: Mapping, source: Mapping) -> bool:
    return any(place in source for place in PLACES) and all(entry.get(place) == source.get(place) for place in PLACES)


def dataset_origin(study: Mapping, dataset: str, registry: Mapping[str, dict]) -> Origin:
    """The origin of the rows of a data set: its own, or that of the one that it is derived from."""
    entry = study["datasets"][dataset]
    while "from" in entry:
        entry = study["datasets"][entry["from"]]
    return origin_of(entry["source"], registry)


def licence_words(origin: Origin) -> str:
    """The licence for people: what is not known is said."""
    return origin.licence or "not known (not in the registry of sources)"
