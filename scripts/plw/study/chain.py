"""Studies: YAML files that say only what they change, merged over the study that they are based on.

A study file may name its base (`base: NAME`); `paper` is the root of every chain. Mappings merge key by key, lists
and single values replace, `null` removes what the base has. Every error knows the file and line that set the value.
Light import on purpose: each Snakemake process loads this module.
"""

import copy
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plw.errors import MOST_SHOWN, InputError, InputErrors, nearest_hint
from plw.study.design import with_own_tasks
from plw.study.runs import subset_errors, with_subsets


@dataclass(frozen=True)
class StudyFile:
    """One YAML file of the chain: path, values, and for each key path the line (from 1) and the text that set it."""

    path: Path
    values: dict
    lines: dict[tuple, int]
    texts: dict[tuple, str]


# The C loader parses ten times faster; the Python one is the same where PyYAML was built without it.
YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


MOST_NODES = 100_000  # of a study file with its aliases written out; the longest of ours has under 2,000


class _Places:
    """Line and, of single values, text of each key path of a YAML file."""

    def __init__(self, file: Path):
        self.file = file
        self.lines: dict[tuple, int] = {}
        self.texts: dict[tuple, str] = {}

    def visit(self, node: yaml.Node | None, path: tuple = ()) -> None:
        """Note a node and what is below it; refuses keys that YAML would change or silently take the last of."""
        if len(self.lines) > MOST_NODES:
            raise InputError("A study file grows without bounds: an alias holds aliases.", where=str(self.file))
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                self._visit_key(key_node, path)
                self.visit(value_node, (*path, key_node.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = item.start_mark.line + 1
                self.visit(item, (*path, index))
        elif isinstance(node, yaml.ScalarNode):
            self.texts[path] = node.value
            if node.tag.endswith(":float") and not _is_finite(node.value):
                where = f"{self.file}, line {node.start_mark.line + 1}"
                raise InputError("A number is not finite.", value=node.value, where=where)

    def _visit_key(self, key: yaml.Node, above: tuple) -> None:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError("A key is a list or a mapping.", where=f"{self.file}, line {line}", hint="Keys are names.")
        path = (*above, key.value)
        kind = key.tag.rpartition(":")[2]
        if kind not in ("str", "merge"):
            raise InputError(
                "A key is no text.",
                value=key.value,
                where=f"{self.file}, line {line}",
                hint=f'YAML reads {key.value} as {_read_as(key.value, kind)}: write "{key.value}".',
            )
        if path in self.lines:
            raise InputError(
                "A key is given twice.",
                value=key.value,
                where=f"{self.file}, lines {self.lines[path]} and {line}",
                hint="Keep one of them.",
            )
        self.lines[path] = line


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text.replace("_", "")))
    except ValueError:  # YAML also writes .nan and .inf, and 1:30.5 in the base of 60
        return text.strip("+-").lower() not in (".nan", ".inf")


def _read_as(text: str, kind: str) -> str:
    if kind == "bool":
        return str(yaml.SafeLoader.bool_values[text.lower()]).lower()
    return {"int": "a number", "float": "a number", "null": "nothing", "timestamp": "a date"}.get(kind, kind)


def read_utf8(path: Path, what: str) -> str:
    """The text of a file; InputError that begins with `what` when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        hint = f"{error}. Save it as UTF-8."
        raise InputError(f"{what} is not UTF-8.", where=str(path), hint=hint) from None
    except OSError as error:
        raise InputError(f"{what} cannot be read.", where=str(path), hint=str(error)) from None


def read_study_file(path: Path) -> StudyFile:
    """Read one YAML file as a mapping with line numbers; InputError if it is absent, not YAML or not a mapping."""
    if not os.path.isfile(path):  # also for a name that no system could hold, where Path.is_file raises
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise InputError(
            "There is no such study file.",
            value=str(path),
            where='config/config.yaml, key "study", or --config study=…',
            hint=f"Use one of: {', '.join(known)}{nearest_hint(path.stem, known, lead='; ')}",
        )
    places = _Places(path)
    try:
        loader = YamlLoader(read_utf8(path, "This study file"))
        node = loader.get_single_node()
        places.visit(node)
        values = loader.construct_document(node) if node else {}
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two of numbers and dates that are none
        if isinstance(error, InputError):
            raise
        raise InputError("The study file is not valid YAML.", where=str(path), hint=str(error)) from None
    except RecursionError:
        raise InputError("The study file is nested too deeply, or refers to itself.", where=str(path)) from None
    if not isinstance(values, dict):
        raise InputError("A study file holds a mapping of keys.", value=type(values).__name__, where=str(path))
    return StudyFile(path, values, places.lines, places.texts)


def study_chain(name: str, folder: Path) -> list[StudyFile]:
    """The files of study `name`, base first. `name` is a name in `folder` or the path of a YAML file."""
    chain: list[StudyFile] = []
    current = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    while True:
        if any(file.path == current for file in chain):
            raise InputError("Studies are based on each other in a circle.", value=str(current), where="base")
        chain.append(read_study_file(current))
        base = chain[-1].values.get("base", None if current == folder / "paper.yaml" else "paper")
        if base is None:
            return chain[::-1]
        current = folder / f"{base}.yaml"


def merge(base: dict, changes: dict) -> dict:
    """`changes` over `base`: mappings merge, `null` removes a key, all else replaces. Inputs stay as they are."""
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        elif isinstance(value, dict):
            merged[key] = merge({}, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def locate(chain: list[StudyFile], path: tuple) -> str:
    """Where `path` was set: file, line and key; the longest part of the path that some file sets."""
    key = ".".join(str(part) for part in path)
    for length in range(len(path), 0, -1):
        for file in reversed(chain):
            if path[:length] in file.lines:
                return f'{file.path}, line {file.lines[path[:length]]}, key "{key}"'
    return f'{chain[-1].path}, key "{key}"'


def _schema_error(error, chain: list[StudyFile]) -> list[InputError]:
    """Turn one jsonschema error into input errors; an unknown key names the nearest known one."""
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        return [
            InputError(
                "Unknown key.",
                value=key,
                where=locate(chain, (*path, key)),
                hint=(nearest_hint(key, known) or f"known keys: {', '.join(known)}"),
            )
            for key in error.instance
            if key not in known
        ]
    description = error.schema.get("description", "")
    hint = f"This key is: {description}" if description else None
    if isinstance(error.instance, str) and "number" in str(error.validator_value):
        hint = "YAML reads 2e-5 as text: write 2.0e-5. " + (hint or "")
    text = next((file.texts[path] for file in reversed(chain) if path in file.texts), None)
    if error.validator == "type" and error.validator_value == "string" and text is not None:
        hint = f'YAML reads {text} as {json.dumps(error.instance, default=str)}: write "{text}".'
    message = error.message
    if error.validator == "pattern" and error.schema.get("description", "").startswith("a name "):
        message = f"This is no name: {error.instance!r}"
        hint = f"Use {description}."
    return [InputError(message[:MOST_SHOWN], where=locate(chain, path), hint=hint)]


def check_shape(values: dict, schema: dict, chain: list[StudyFile]) -> list[InputError]:
    """All violations of the JSON schema, each with its place."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(values), key=lambda error: [str(part) for part in error.absolute_path])
    return [found for error in errors for found in _schema_error(error, chain)]


def _unknown(what: str, name: str, known: dict, place: str) -> InputError:
    hint = nearest_hint(name, list(known)) or f"known: {', '.join(known) or 'none'}"
    return InputError(f"Unknown {what}.", value=name, where=place, hint=hint)


def check_meaning(values: dict, chain: list[StudyFile]) -> list[InputError]:
    """What a schema cannot see: names that refer to nothing, circles, an experiment that is not defined."""
    errors = []
    registries = {"ptlms": values["ptlms"], "datasets": values["datasets"]}
    for name in values["run_experiments"]:
        if name not in values["experiments"]:
            place = locate(chain, ("run_experiments",))
            errors.append(_unknown("experiment", name, values["experiments"], place))
    for name, experiment in values["experiments"].items():
        for key, registry in registries.items():
            for index, member in enumerate(experiment[key]):
                if member not in registry:
                    place = locate(chain, ("experiments", name, key, index))
                    errors.append(_unknown(key[:-1], member, registry, place))
        errors += _by_dataset_errors(name, experiment, values["datasets"], chain)
        for index, member in enumerate(experiment.get("benchmarks", [])):
            if member not in values["benchmarks"]:
                place = locate(chain, ("experiments", name, "benchmarks", index))
                errors.append(_unknown("benchmark", member, values["benchmarks"], place))
    for name, dataset in values["datasets"].items():
        if "from" in dataset and dataset["from"] not in values["datasets"]:
            place = locate(chain, ("datasets", name, "from"))
            errors.append(_unknown("data set", dataset["from"], values["datasets"], place))
        elif "from" in dataset and _derived_twice(dataset, values["datasets"][dataset["from"]]):
            place = locate(chain, ("datasets", name, "from"))
            hint = "Derive it from a data set that has a source of its own; instances are never inverted twice."
            errors.append(InputError("A derived data set has a derived parent.", value=name, where=place, hint=hint))
    if values["tokenizer_of"] not in values["ptlms"]:
        errors.append(_unknown("ptlm", values["tokenizer_of"], values["ptlms"], locate(chain, ("tokenizer_of",))))
    errors += subset_errors(values, lambda path: locate(chain, path))
    return errors + _check_judges(values, chain) + _check_training(values, chain)


def _derived_twice(dataset: dict, parent: dict) -> bool:
    """Whether a data set is made from one that is made itself; rows of an inverted one may be drawn."""
    return "subset" in parent or ("inversion" in dataset and "from" in parent)


def _by_dataset_errors(name: str, experiment: dict, datasets: dict, chain: list[StudyFile]) -> list[InputError]:
    """`plw` and `seeds` by data set name data sets of the study, and `plw` all that the experiment has.

    One that the experiment lacks is no fault: a study that brings its own data sets keeps what its base says of others.
    """
    errors = []
    for key in ("plw", "seeds"):
        values = experiment.get(key)
        if not isinstance(values, dict):
            continue
        for member in values:
            if member not in datasets:
                place = locate(chain, ("experiments", name, key, member))
                known = dict.fromkeys(experiment["datasets"])
                errors.append(_unknown("data set of this experiment", member, known, place))
        missing = [member for member in experiment["datasets"] if member not in values]
        if key == "plw" and missing:
            place = locate(chain, ("experiments", name, key))
            errors.append(InputError("A data set of the experiment has no PLWs.", value=missing[0], where=place))
    return errors


def _check_training(values: dict, chain: list[StudyFile]) -> list[InputError]:
    """Settings that are good each for itself and cannot work together: else a run would say so once it has its GPUs."""
    errors = []
    training = values["training"]
    if training.get("offload", "none") != "none" and training.get("zero_stage", "none") in ("none", 0):
        errors.append(
            InputError(
                "Nothing can be offloaded without ZeRO.",
                value=f"offload: {training['offload']}, zero_stage: {training.get('zero_stage', 'none')}",
                where=locate(chain, ("training", "offload")),
                hint="Set training.zero_stage to 1, 2 or 3 (3 offloads parameters too), or offload: none.",
            )
        )
    for name, experiment in values["experiments"].items():
        for regularizer in ("dropout", "label_smoothing"):
            for index, strength in enumerate(experiment.get("regularizers", {}).get(regularizer, [])):
                if strength >= 1:
                    errors.append(
                        InputError(
                            f"The strength of {regularizer} is a share.",
                            value=strength,
                            where=locate(chain, ("experiments", name, "regularizers", regularizer, index)),
                            hint="Give a number above 0 and below 1.",
                        )
                    )
    return errors


def _check_judges(values: dict, chain: list[StudyFile]) -> list[InputError]:
    errors = []
    for name in values["evaluation"]["benchmarks"]:
        if name not in values["benchmarks"]:
            place = locate(chain, ("evaluation", "benchmarks"))
            errors.append(_unknown("benchmark", name, values["benchmarks"], place))
        elif values["benchmarks"][name]["framework"] != "harness" and name not in values["judges"]:
            hint = f'Add an entry "{name}" under "judges", or take the benchmark out of evaluation.benchmarks.'
            errors.append(
                InputError("A judged benchmark has no judge.", value=name, where=locate(chain, ("judges",)), hint=hint)
            )
    return errors + [error for name in values["judges"] for error in _check_backend(name, values, chain)]


# What a judge's backend cannot do without, by the key that gives it, with an example.
BACKEND_NEEDS = {
    "vllm_local_completions": ("python", "the interpreter that has vLLM, as .venv-judges/bin/python"),
    "openai_completions": ("server", "its address, as http://node17:8000/v1"),
}


def _check_backend(name: str, values: dict, chain: list[StudyFile]) -> list[InputError]:
    """A judge that could not be started, told before the first training instead of after the last."""
    judge = values["judges"][name]
    backend = judge.get("backend")
    if backend not in BACKEND_NEEDS or name not in values["evaluation"]["benchmarks"]:
        return []
    errors = []
    key, example = BACKEND_NEEDS[backend]
    if key not in judge:
        others = "backend: huggingface_local_completions runs it in process, openai_completions asks a running server"
        what = f"A judge's backend needs `{key}`."
        hint = f"Give {example}; or another backend ({others})."
        errors.append(InputError(what, value=backend, where=locate(chain, ("judges", name, key)), hint=hint))
    if judge.get("num_beams", 1) > 1:
        what, hint = "A served judge decodes greedily.", "Set num_beams: 1, or backend: huggingface_local_completions."
        where = locate(chain, ("judges", name, "num_beams"))
        errors.append(InputError(what, value=judge["num_beams"], where=where, hint=hint))
    return errors


DESCRIBING = ("label", "description")  # texts, shown as they are written


def expand(value: object, **fields: str) -> Any:
    """Replace `{study}` and the like in every string of a nested value but DESCRIBING; other braces stay."""
    if isinstance(value, dict):
        return {key: item if key in DESCRIBING else expand(item, **fields) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, **fields) for item in value]
    if isinstance(value, str):
        for name, text in fields.items():
            value = value.replace("{" + name + "}", text)
    return value


def load_study(
    name: str, *, folder: Path, schema: dict, registries: dict[str, dict], samples: str | None = None
) -> dict:
    """The resolved study: base and changes merged, checked as a whole, placeholders replaced.

    name        name of a file in `folder`, or the path of a YAML file
    schema      JSON schema of a whole study
    registries  what every study starts from (`benchmarks`: Table 2 as data)
    samples     folder that `{samples}` in a path stands for
    Raises InputErrors with every error found, each with its place and a hint.
    """
    chain = study_chain(name, folder)
    values: dict = copy.deepcopy(registries)
    for file in chain:
        values = merge(values, {key: value for key, value in file.values.items() if key != "base"})
    values.setdefault("name", chain[-1].path.stem)
    values = with_own_tasks(values)
    errors = check_shape(values, schema, chain)
    errors = errors or check_meaning(values, chain)
    if errors:
        raise InputErrors(errors)
    values = expand(values, study=values["name"])
    if samples is not None:
        values = expand(values, samples=str(samples).rstrip("/"))
    elif "{samples}" in str(values):
        raise InputError(
            "This study reads a folder of samples, and none is given.",
            where=str(chain[-1].path),
            hint="Say where they are: --config samples=FOLDER",
        )
    return with_subsets(values)
