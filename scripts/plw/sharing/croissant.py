"""Croissant metadata of the inverted data sets: what they are, their sums, their licences and how they were made.

Croissant 1.1 (MLCommons), the vocabulary on schema.org that mlcroissant reads. The rows themselves are not exported, so
`contentUrl` names the file of results/STUDY that the sum is of.
"""

from collections.abc import Mapping

from plw.sharing.finished import FinishedStudy
from plw.sharing.origins import dataset_origin, licence_words
from plw.sharing.packing import data_hash

FORM = "http://mlcommons.org/croissant/1.1"
PAPER = "https://arxiv.org/abs/2401.13586"
CITED = "Huerta-Enochian and Ko: Instruction Fine-Tuning: Does Prompt Loss Matter? arXiv 2401.13586"
TERMS = ("column", "extract", "field", "fileObject", "recordSet", "source")
CONTEXT = {
    **{"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/"},
    **{"cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/"},
    **{"conformsTo": "dct:conformsTo", "citeAs": "cr:citeAs"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in TERMS},
}
FIELDS = {  # of a row of instances.jsonl: type, what it is
    "instruction": ("sc:Text", "the instruction; of an inverted row the words of App. A"),
    "input": ("sc:Text", "the input; of an inverted row the completion of the row that it comes from"),
    "output": ("sc:Text", "the completion to be learnt; of an inverted row the instruction that it comes from"),
    "source_row": ("sc:Integer", "row of the source, from 0"),
    "inverted": ("sc:Boolean", "whether the row is inverted"),
}
RULES = {
    "all": "every row whose completion is longer than its prompt is inverted",
    "target": "rows are inverted in a seeded random order until R_g reaches its target",
    "tiny": "rows are inverted, and long ones left out, until R_g reaches its target",
}


def croissants(found: FinishedStudy, registry: Mapping[str, dict]) -> dict[str, dict]:
    """JSON-LD by data set, of those that the study inverts.

    registry  config/sources.yaml, which knows the licences
    """
    names = [name for name in found.datasets if "inversion" in found.study["datasets"][name]]
    return {name: _croissant(found, name, registry) for name in names}


def _croissant(found: FinishedStudy, dataset: str, registry: Mapping[str, dict]) -> dict:
    entry, hashed = found.study["datasets"][dataset], data_hash(found, dataset)
    parent, origin = entry["from"], dataset_origin(found.study, dataset, registry)
    rule = entry["inversion"]
    settings = ", ".join(f"{key} {value}" for key, value in rule.items() if key != "rule")
    file = f"{dataset}-instances.jsonl"
    based_on = {"@type": "sc:Dataset", "name": origin.name, "license": licence_words(origin)}
    based_on |= {"url": origin.url} if origin.url else {}
    based_on |= {"version": origin.version} if origin.version else {}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{found.study['name']}-{dataset}",
        "description": f"{entry['label']}: {hashed['rows']} rows of instruction data made from {parent} ({origin.name})"
        f" by prompt inversion (App. A of {PAPER}): {RULES[rule['rule']]} ({settings}). The completion becomes the"
        " input, and the instruction what is to be predicted; texts are those of the source.",
        "conformsTo": FORM,
        "url": origin.url or PAPER,
        "license": licence_words(origin),
        "citeAs": CITED,
        "isBasedOn": based_on,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file,
                "name": file,
                "contentUrl": f"data/{dataset}/{hashed['file']}",
                "contentSize": f"{hashed['bytes']} B",
                "encodingFormat": "application/jsonlines",
                "sha256": hashed["sha256"],
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "instances",
                "name": "instances",
                "field": [_field(name, *about, file) for name, about in FIELDS.items()],
            }
        ],
    }


def _field(name: str, kind: str, about: str, file: str) -> dict:
    return {
        "@type": "cr:Field",
        "@id": f"instances/{name}",
        "name": name,
        "description": about,
        "dataType": kind,
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }
