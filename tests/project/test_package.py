"""The package that others install: what is in its wheel, what it brings along, and that its documented code runs."""

import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import torch
from checkout import ROOT, copy_project
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import prepare_tokenizer
from plw.models.loading import fit_embeddings
from tiny import tiny_instances, tiny_model
from transformers import AutoTokenizer, LlamaForCausalLM

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    project = copy_project(folder / "project")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, project], check=True)
    (found,) = folder.glob("plw-*.whl")
    return found


def environment(folder: Path, *site_packages: str) -> Path:
    """A fresh virtual environment whose own packages come before those of the given folders; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "others.pth").write_text("\n".join(site_packages) + "\n")
    return folder / "bin" / "python"


def test_the_wheel_holds_every_module_r_file_and_template(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    library = ROOT / "scripts"
    files = [file for room in ("plw", "plw_world") for file in (library / room).rglob("*")]
    wanted = {str(file.relative_to(library)) for file in files if file.suffix in (".py", ".R", ".j2")}
    assert len(wanted) > 140
    assert wanted <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == {"plw", "plw_world"}


def test_the_installed_package_runs_the_documented_loop(wheel, tmp_path):
    python = environment(tmp_path / "fresh", sysconfig.get_path("purelib"))
    (own,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    subprocess.run([*PIP, "install", "--no-deps", "--target", own, wheel], check=True)
    (snippet,) = [block for block in snippets() if "model(batch" in block]
    code = f"""
import types, torch, plw
assert "fresh" in plw.__file__
table = torch.nn.Embedding(9, 9)
model = lambda ids, attention_mask: types.SimpleNamespace(logits=table(ids))
tokenizer = types.SimpleNamespace(pad_token_id=0)
rows = [{{"input_ids": [1, 5, 6, 2], "prompt_length": 2}}, {{"input_ids": [1, 5, 2], "prompt_length": 1}}]
{snippet}
print(loss.item(), table.weight.grad.abs().sum().item() > 0)
print(plw.to_w_p(0.1), plw.generation_ratios([{{"instruction": "ab", "output": "abcd"}}]))
"""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.endswith("True") and float(first.split()[0]) > 0
    assert float(second.split()[0]) == pytest.approx(0.5, abs=1e-5) and "'ratio_of_mean_characters': 2.0" in second


def test_an_older_torch_satisfies_the_package_and_stays(wheel, tmp_path):
    """pip resolves the core beside torch 2.6 (its metadata alone, which is all that pip looks at)."""
    environment(tmp_path / "env")
    (own,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    installed = own / "torch-2.6.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.6.0\n")
    (installed / "RECORD").write_text("")
    (installed / "INSTALLER").write_text("pip\n")
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            *(*PIP, "--python", str(tmp_path / "env" / "bin" / "python"), "install"),
            *("--dry-run", "--report", str(report), str(wheel)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode and "Could not find a version" in done.stderr:
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, done.stderr
    planned = {item["metadata"]["name"].lower() for item in json.loads(report.read_text())["install"]}
    assert planned == {"plw", "pyyaml"}


def test_importing_the_package_loads_nothing_and_every_public_name_is_there():
    code = (
        "import sys, plw; light = not {'torch', 'yaml', 'transformers', 'pandas'} & set(sys.modules);"
        "print(light, [name for name in plw.__all__ if not callable(getattr(plw, name))], 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "[]", "False"]


def test_an_unknown_name_is_an_attribute_error_as_everywhere():
    import plw

    with pytest.raises(AttributeError, match="no attribute 'promptloss'"):
        _ = plw.promptloss
    assert set(plw.__all__) <= set(dir(plw))


def test_the_old_place_of_the_loss_says_where_it_went():
    sys.modules.pop("plw.loss", None)
    with pytest.warns(DeprecationWarning, match="from plw import"):
        from plw.loss import PromptLossCollator, causal_lm_loss  # noqa: F401


def snippets() -> list[str]:
    text = (ROOT / "docs" / "loss.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_there_is_a_snippet_for_each_of_the_four_ways():
    ways = ("Trainer(\n    model,\n    TrainingArguments", "SFTTrainer(", "get_peft_model(", "causal_lm_loss(model(")
    found = snippets()
    assert len(found) == len(ways)
    assert all(way in text for way, text in zip(ways, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("place", range(4))
def test_every_documented_snippet_trains(tmp_path, monkeypatch, place):
    snippet = snippets()[place]
    for package in ("trl", "peft"):
        if f"from {package} " in snippet:
            pytest.importorskip(package)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    model = LlamaForCausalLM.from_pretrained(tiny_model(tmp_path / "model"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    prepare_tokenizer(tokenizer)
    fit_embeddings(model, tokenizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    examples = encode_examples(tokenizer, tiny_instances(6), 64)
    rows = [{"input_ids": list(item.input_ids), "prompt_length": item.prompt_length} for item in examples]
    names = {"model": model, "tokenizer": tokenizer, "rows": rows, "output_dir": str(tmp_path / "out")}
    exec(compile(snippet, f"docs/loss.md, snippet {place}", "exec"), names)
    if "loss" in names:
        gradients = [p.grad.abs().sum() for p in names["model"].parameters() if p.grad is not None]
        assert torch.isfinite(names["loss"]) and sum(gradients) > 0
    else:
        after = names["trainer"].model.state_dict()
        assert any(not torch.equal(after[name], value) for name, value in before.items())
