"""docs/faults.md: each message there is what the code says when the fault happens, and each test there exists."""

import ast
import errno
import re

import pytest
from checkout import ROOT
from hub_models import pickled, sharded
from hub_repositories import alpaca_rows, lines
from hub_server import ACCEPTED, STRANGER, Fault
from plw.errors import InputError, InputErrors
from plw.study import fetching
from plw.study.configuration import load_configuration
from plw.study.fetching import Need, fetch_first, fetch_sources, needs_of
from plw.study.hub import explain, switched_off
from plw.study.pretrained import load_pretrained
from plw.study.runs import list_runs
from plw.study.sources import load_registry, read_rows

PAGE, TABLE = (ROOT / "docs/faults.md").read_text(encoding="utf-8").split("## Inputs from outside")
REGISTRY = load_registry(ROOT / "config" / "sources.yaml")
LLAMA, DOLLY, PANDALM = (REGISTRY[name] for name in ("llama_2_7b", "databricks_dolly_15k", "pandalm_7b"))
ROWS = lines(alpaca_rows(3000))


def source_of(entry: dict, **changes) -> dict:
    return {key: entry[key] for key in ("hub", "revision", "split") if key in entry} | changes


def model(hub, tmp_path, **changes) -> Need:
    hub.add(LLAMA["hub"], sharded(tmp_path / "model"), commit=LLAMA["revision"], gated=True)
    return Need("ptlms.llama_2_7b.source", "model", "llama_2_7b", source_of(LLAMA, **changes))


def data(hub, **changes) -> Need:
    hub.add(DOLLY["hub"], {"databricks-dolly-15k.jsonl": ROWS}, kind="dataset", commit=DOLLY["revision"])
    return Need("datasets.dolly.source", "data", "dolly", source_of(DOLLY, **changes), ("train",))


def refused(*needs: Need) -> str:
    with pytest.raises((InputError, InputErrors)) as caught:
        fetch_sources(needs, say=lambda _: None)
    return str(caught.value)


# --- the faults, by the headings of the page --------------------------------------------------------------------------
def no_token(hub, tmp_path, monkeypatch):
    return refused(model(hub, tmp_path))


def licence(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    return refused(model(hub, tmp_path))


def wrong_token(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    return refused(model(hub, tmp_path))


def narrow_token(hub, tmp_path, monkeypatch):
    need = data(hub)
    hub.faults["databricks-dolly-15k.jsonl"] = Fault(status=403)
    return refused(need)


def no_repository(hub, tmp_path, monkeypatch):
    return refused(Need("datasets.dolly.source", "data", "dolly", source_of(DOLLY), ("train",)))


def no_revision(hub, tmp_path, monkeypatch):
    return refused(data(hub, revision="d" * 40))


def no_file(hub, tmp_path, monkeypatch):
    return refused(data(hub, file="dolly.json"))


def no_part(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    need = model(hub, tmp_path)
    files = hub.repositories["model", LLAMA["hub"]].files
    del files[next(name for name in files if name.endswith(".safetensors"))]
    return refused(need)


def no_network(hub, tmp_path, monkeypatch):
    need = data(hub)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return refused(need).replace("http://127.0.0.1:9", hub.endpoint)


def broken_hub(hub, tmp_path, monkeypatch):
    need = data(hub)
    hub.faults["databricks-dolly-15k.jsonl"] = Fault(status=503)
    return refused(need)


def cut(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 14)
    need = data(hub)
    hub.faults["databricks-dolly-15k.jsonl"] = Fault(cut=1000)
    return refused(need)


def corrupt(hub, tmp_path, monkeypatch):
    need = data(hub)
    hub.faults["databricks-dolly-15k.jsonl"] = Fault(corrupt=True)
    return refused(need)


def small_disk(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ACCEPTED)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0})())
    need = model(hub, tmp_path)
    message = refused(need)
    return re.sub(r"fetched: [\d.]+ GB, and [\d.]+ GB", "fetched: 27.0 GB, and 12.5 GB", message)  # a real one's sizes


def full_disk(hub, tmp_path, monkeypatch):
    error = OSError(errno.ENOSPC, "No space left on device")
    return str(explain(error, LLAMA["hub"], LLAMA["revision"], "model", file="model-00001-of-00002.safetensors",
                       where="ptlms.llama_2_7b.source"))  # fmt: skip


def read_only(hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file"))
    return refused(data(hub)).replace(str(tmp_path / "file"), str(tmp_path / "hf" / "hub"))


def not_fetched_first(hub, tmp_path, monkeypatch):
    study = load_configuration({"study": "paper"}, root=ROOT)
    return fetch_first(needs_of(study, list_runs(study)), "paper")


def missing_later(hub, tmp_path, monkeypatch):
    need = data(hub)
    fetch_sources([need], say=lambda _: None)
    for file in (tmp_path / "hf" / "hub").rglob("*.jsonl"):
        file.unlink()
    with switched_off(), pytest.raises(InputError) as caught:
        list(read_rows(need.source, where=need.where))
    return str(caught.value)


def not_converted(hub, tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM

    repository = hub.add(PANDALM["hub"], pickled(tmp_path / "judge"))
    need = Need("judges.pandalm.source", "model", "pandalm", source_of(PANDALM))
    fetch_sources([need], say=lambda _: None)
    with switched_off(), pytest.raises(InputError) as caught:
        load_pretrained(AutoModelForCausalLM, need.source, "model", use_safetensors=True)
    assert repository.commit not in str(caught.value)
    return str(caught.value)


FAULTS = {
    "The licence is not accepted and there is no token": no_token,
    "The licence is not accepted": licence,
    "The token is wrong": wrong_token,
    "The token may not read this": narrow_token,
    "The repository is not there": no_repository,
    "The revision is not there": no_revision,
    "The file is not there": no_file,
    "A part of a model is not there": no_part,
    "There is no network": no_network,
    "The Hub is busy or broken": broken_hub,
    "A download breaks off": cut,
    "A file arrives damaged": corrupt,
    "There is too little room": small_disk,
    "The disk runs full": full_disk,
    "The cache cannot be written to": read_only,
    "A cluster's jobs are asked for before the fetch": not_fetched_first,
    "A job lacks a file": missing_later,
    "A job lacks converted weights": not_converted,
}
SILENT = {"Two fetches run at once", "A fetch is killed"}  # nothing is said, because nothing has to be done


def sections() -> dict[str, str]:
    """The page's text by its headings."""
    parts = re.split(r"^### (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def as_on_the_page(message: str, hub, tmp_path) -> str:
    """The message of this machine's small Hub as it would be of the real one."""
    text = message.replace(hub.endpoint, "https://huggingface.co").replace(str(tmp_path / "hf"), "/users/me/hf")
    return re.sub(r"model-\d{5}-of-\d{5}", "model-00001-of-00002", text)


@pytest.mark.parametrize("title", FAULTS)
def test_the_page_shows_what_is_printed(title, hub, tmp_path, monkeypatch):
    shown = re.search(r"```\n(?:Error: )?(.*?)\n```", sections()[title], flags=re.DOTALL)
    said = as_on_the_page(FAULTS[title](hub, tmp_path, monkeypatch), hub, tmp_path)
    assert shown and shown[1] == said, f"\n{said}"


def test_every_section_is_a_fault_that_is_made_to_happen_here_or_in_a_test_that_it_names():
    assert set(sections()) == set(FAULTS) | SILENT


def absent(text: str) -> list[str]:
    """The tests that a text names and that are not there."""
    missing = []
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8")) if (ROOT / file).is_file() else ast.Module([], [])
        if test not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{test}")
    return missing


@pytest.mark.parametrize("title", [*FAULTS, *sorted(SILENT)])
def test_the_tests_that_a_section_names_exist(title):
    assert "`tests/" in sections()[title]
    assert absent(sections()[title]) == []


TABLE = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in re.findall(r"^\| .*\|$", TABLE, re.MULTILINE)
][1:]


@pytest.mark.parametrize("row", TABLE, ids=[row[0][:60] for row in TABLE])
def test_every_row_of_the_table_has_a_fault_what_is_said_and_a_test_that_exists(row):
    fault, said, tests = row
    assert fault and said
    assert re.fullmatch(r"(`tests/[\w/]+\.py::test_\w+` ?)+\|?", tests) and absent(tests) == []


def test_what_the_table_quotes_is_said_by_the_code():
    """The first words of a sentence in quotation marks stand in the library or the workflow."""
    files = [*(ROOT / "scripts/plw").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    code = " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in files)
    quoted = [words for row in TABLE for words in re.findall(r'"([A-Z]\S*(?: [^\s"]+){2})', row[1])]
    assert len(quoted) > 8
    assert [words for words in quoted if words not in code] == []


def test_every_input_of_the_cases_is_used_by_a_test():
    texts = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    cases = [file for file in (ROOT / "tests/cases").rglob("*") if file.is_file() and file.parent.name != "environment"]
    assert [file.name for file in cases if file.name not in texts and file.stem not in texts] == []
