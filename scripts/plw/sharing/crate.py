"""ro-crate-metadata.json: how the results were made, for programs, as a Provenance Run RO-Crate (version 0.5).

Each training is an action with its inputs, parameters, commit, times and outputs; one action stands for the whole call
of the workflow. Trained weights and data are not in the folder: what stands for data carries their sums. Where scores
were given, nothing is known of trainings, and the crate is a plain one.
Profiles: https://w3id.org/ro/wfrun/provenance/0.5 and what it extends.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from plw.errors import InputError
from plw.files import read_json
from plw.sharing.finished import FinishedStudy
from plw.sharing.origins import origin_of
from plw.sharing.packing import CURVES, HASHES, RECORDS
from plw.study.runs import Run

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
PAPER = "https://arxiv.org/abs/2401.13586"
FORMATS = {
    ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown", ".yaml": "application/yaml",
    ".parquet": "application/vnd.apache.parquet", ".gz": "application/gzip", ".tex": "application/x-tex",
}  # fmt: skip
PARAMETERS = {  # of a training: type, what it is
    "plw": ("Float", "prompt loss weight, 0 to 1 (§4.1)"),
    "normalization": ("Text", "what the weighted loss is divided by"),
    "regularizer": ("Text", "regularizer (§6.1); none for plain fine-tuning"),
    "strength": ("Float", "strength of the regularizer"),
    "seed": ("Integer", "seed of the training"),
}
INPUTS = {"ptlm": "the pretrained model that is fine-tuned", "dataset": "the instruction data"}
OUTPUTS = {"loss": "loss.csv: each update's loss", "record": "run.json: versions, commit, machine, settings"}
USAGE = {  # of a run.json: unit, what it is
    "seconds_in_all": ("s", "wall time of the training's process"),
    "energy_joules": ("J", "energy of the device, where it can be read"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
SPAN = "From the first training's start to the last one's end; what came before and after is not recorded."
ENGINE, STEP, CALL = "#snakemake", "#step-train_model", "#call"


def crate_metadata(found: FinishedStudy, records: Mapping[str, dict], folder: Path, *, commit: str) -> dict:
    """The crate's JSON-LD.

    records  run.json of each run; empty where scores were given
    commit   that of the checkout which exports, and so of the Snakefile in the folder
    folder   the export, whose other files are there
    Raises InputError where the library rocrate is not installed.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        hint = "Install it: pip install 'plw[sharing]', or make setup."
        raise InputError("An export needs the Python package rocrate.", hint=hint) from None
    crate = ROCrate(version="1.1")  # what the profiles extend
    terms = "https://w3id.org/ro/terms/workflow-run#"
    crate.metadata.extra_terms |= {name: f"{terms}{name}" for name in ("resourceUsage", "sha256")}
    finished = sorted(record["finished"] for record in records.values())
    when = finished[-1] if finished else _time_of(found.folder / "scores.csv")
    crate.root_dataset["datePublished"] = when
    crate.name = f"Results of the study {found.study['name']}"
    crate.description = (
        f"{len(found.runs)} fine-tunings with a prompt loss weight, their scores and what follows from them:"
        f" {found.study.get('description', 'a study')} A reproduction of {PAPER}."
    )
    # Whoever publishes the numbers licenses them; data and models keep their own licences.
    crate.license = "Not stated. Licences of data and models: see tables/table_6.md and croissant/."
    if "README.md" in (names := _names(folder)):
        names.remove("README.md")
        _add_file(crate, folder / "README.md", "README.md")["about"] = crate.root_dataset
    files = {name: _add_file(crate, folder / name, name) for name in names}
    if records:
        _Provenance(crate, found, files, folder).add(records, commit)
    return crate.metadata.generate()


def _names(folder: Path) -> list[str]:
    """Files of the export; those of its records of evaluations stand as a folder."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if not name.startswith("every_eval_ever/")]


def _add_file(crate: Any, path: Path, name: str) -> Any:
    content = path.read_bytes()
    properties = {"name": name, "contentSize": str(len(content)), "sha256": hashlib.sha256(content).hexdigest()}
    properties["encodingFormat"] = FORMATS.get(path.suffix, "text/plain")
    return crate.add_file(dest_path=name, properties=properties)


def _one_or_all(values: list) -> Any:
    """A single value alone, as JSON-LD is compacted."""
    return values[0] if len(values) == 1 else values


def _listed(value: Any) -> list:
    return [] if value is None else value if isinstance(value, list) else [value]


def _span(actions: list) -> dict:
    """From the first training's start to the last one's end."""
    starts = sorted(action["startTime"] for action in actions if action.get("startTime"))
    ends = sorted(action["endTime"] for action in actions)
    return ({"startTime": starts[0]} if starts else {}) | {"endTime": ends[-1]}


def _time_of(path: Path) -> str:
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()


class _Provenance:
    """Adds to a crate what its profiles ask for: workflow, tool, parameters, and an action for each training."""

    def __init__(self, crate: Any, found: FinishedStudy, files: Mapping[str, Any], folder: Path):
        self.crate, self.found, self.files = crate, found, files
        self.hashes = read_json(folder / HASHES)
        self.parameters = {name: self._parameter(name, *about) for name, about in PARAMETERS.items()}
        self.parameters |= {name: self._parameter(name, "Collection", about) for name, about in INPUTS.items()}
        self.outputs = {name: self._parameter(name, "Collection", about) for name, about in OUTPUTS.items()}

    def add(self, records: Mapping[str, dict], commit: str) -> None:
        """The workflow and its call, with a step's action for each run; `commit` is that of the Snakefile."""
        self.crate.root_dataset["conformsTo"] = [
            self._entity(url, "CreativeWork", name=name, version=url.rpartition("/")[2])
            for url, name in PROFILES.items()
        ]
        properties = {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "The paper, end to end",
            **{key: self.files["Snakefile"][key] for key in ("sha256", "contentSize", "encodingFormat")},
            "version": commit,
        }
        self.crate.delete(self.files["Snakefile"])
        about = self._entity(BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow", version="1.0-RELEASE")
        workflow = self.crate.add_workflow(dest_path="Snakefile", main=True, lang="snakemake", properties=properties)
        workflow["conformsTo"] = about
        step = self._entity(STEP, "HowToStep", name="Fine-tune a ptlm with a prompt loss weight (§4.1)", position="1")
        actions = [self._training(run, records[run.run]) for run in self.found.runs]
        tools = list({action["instrument"].id: action["instrument"] for action in actions}.values())
        step["workExample"] = _one_or_all(tools)
        workflow["hasPart"], workflow["step"] = _one_or_all(tools), step
        workflow["input"] = self._formal("study", "study.yaml", "the study: what is trained, measured and computed")
        made = [name for name in ("scores.csv", "mechanism.csv", "claims.json") if name in self.files]
        workflow["output"] = _one_or_all(
            [self._formal(Path(name).stem, name, "what the workflow makes") for name in made]
        )
        call = self.crate.add_action(
            workflow,
            identifier=CALL,
            object=self.files["study.yaml"],
            result=_one_or_all([self.files[name] for name in made]),
            properties={"name": f"The study {self.found.study['name']}", "description": SPAN} | _span(actions),
        )
        self.crate.root_dataset["mentions"] = [call, *actions]
        controls = [
            self._entity(
                action.id.replace("#training/", "#control/"), "ControlAction",
                name=f"Start of {action['name']}", instrument=step, object=action,
            )
            for action in actions
        ]  # fmt: skip
        engine = self._entity(ENGINE, "SoftwareApplication", name="Snakemake", url="https://snakemake.github.io")
        name = "Execution of the workflow"
        self._entity(
            "#organize", "OrganizeAction", name=name, instrument=engine, object=_one_or_all(controls), result=call
        )

    def _training(self, run: Run, record: dict) -> Any:
        """The action of one run."""
        inputs = [self._ptlm(run.ptlm), self._dataset(run.dataset)]
        inputs += [self._value(name, getattr(run, name)) for name in PARAMETERS]
        outputs = [
            self._output(kind, run.run, name, part)
            for kind, name, part in (("loss", "loss.csv", CURVES), ("record", "run.json", RECORDS))
        ]
        usage = [
            self._entity(
                f"#usage/{run.run}/{name}", "PropertyValue",
                name=name, propertyID=name, value=str(record[name]), unitText=unit, description=about,
            )
            for name, (unit, about) in USAGE.items()
            if record.get(name) is not None
        ]  # fmt: skip
        device = record["device"].get("model") or record["device"].get("cpu") or "an unnamed machine"
        times = {"endTime": record["finished"]}
        if record.get("seconds_in_all") is not None:
            start = datetime.fromisoformat(record["finished"]) - timedelta(seconds=round(record["seconds_in_all"]))
            times = {"startTime": start.isoformat(), **times}
        action = self.crate.add_action(
            self._tool(record),
            identifier=f"#training/{run.run}",
            object=inputs,
            result=outputs,
            properties={"name": f"Training of {run.run}", "description": f"On {device}.", **times},
        )
        if usage:
            action["resourceUsage"] = _one_or_all(usage)
        return action

    def _tool(self, record: dict) -> Any:
        """The training program at the commit and with the versions that a run's record names."""
        git, versions = record["git"], record["versions"]
        commit = f"{git['commit'] or 'unknown'}{' with local changes' if git['dirty'] else ''}"
        packages = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        key = hashlib.sha256(f"{commit} {packages}".encode()).hexdigest()[:12]
        return self._entity(
            f"#train_model-{key}", "SoftwareSourceCode",
            name="scripts/training/train_model.py", version=commit, programmingLanguage="Python",
            softwareRequirements=packages, input=list(self.parameters.values()), output=list(self.outputs.values()),
        )  # fmt: skip

    def _ptlm(self, name: str) -> Any:
        entry = self.found.study["ptlms"][name]
        origin = origin_of(entry["source"], {}, kind="model")
        properties = {"name": entry["label"], "description": f"Pretrained model: {origin.name}"}
        properties |= {"url": origin.url} if origin.url else {}
        properties |= {"version": origin.version} if origin.version else {}
        return self._example("ptlm", f"#ptlm/{name}", "Collection", **properties)

    def _dataset(self, name: str) -> Any:
        hashed = self.hashes[name]
        return self._example(
            "dataset", f"#dataset/{name}", "Collection",
            name=self.found.study["datasets"][name]["label"], alternateName=f"data/{name}/{hashed['file']}",
            sha256=hashed["sha256"], size=f"{hashed['rows']} rows", contentSize=str(hashed["bytes"]),
        )  # fmt: skip

    def _value(self, name: str, value: object) -> Any:
        return self._example(name, f"#{name}/{value}", "PropertyValue", name=name, value=str(value))

    def _output(self, kind: str, run: str, name: str, part: str) -> Any:
        """A file of a run: its content stands in the export's file of all runs, its sum is the original's."""
        digest = hashlib.sha256((self.found.folder / "runs" / run / name).read_bytes()).hexdigest()
        about = f"{name} of {run}: its part of {part}"
        properties = {"name": name, "description": about, "isPartOf": self.files[part], "sha256": digest}
        return self._example(kind, f"#{kind}/{run}", "Collection", **properties)

    def _example(self, parameter: str, identifier: str, kind: str, **properties: Any) -> Any:
        """An entity that a formal parameter stood for in an action."""
        formal = {**self.parameters, **self.outputs}[parameter]
        if self.crate.get(identifier) is None:
            entity = self._entity(identifier, kind, exampleOfWork=formal, **properties)
            formal["workExample"] = _one_or_all([*_listed(formal.get("workExample")), entity])
        return self.crate.get(identifier)

    def _parameter(self, name: str, kind: str, about: str) -> Any:
        return self._entity(f"#parameter-{name}", "FormalParameter", name=name, additionalType=kind, description=about)

    def _formal(self, name: str, file: str, about: str) -> Any:
        """A formal parameter of the workflow that a file of the crate is an example of."""
        formal = self._parameter(f"of-workflow-{name}", "File", about)
        formal["workExample"] = self.files[file]
        self.files[file]["exampleOfWork"] = formal
        return formal

    def _entity(self, identifier: str, kind: str, **properties: Any) -> Any:
        from rocrate.model.contextentity import ContextEntity

        known = self.crate.get(identifier)
        if known is not None:
            return known
        plain = {key: value for key, value in properties.items() if isinstance(value, str)}
        entity = self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind, **plain}))
        for key, value in properties.items():
            if key not in plain:
                entity[key] = value
        return entity
