"""No code that a model folder, a study file or a row brings is ever run."""

import ast
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
import yaml
from checkout import ROOT
from plw.data.token_counts import token_counter
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError, InputErrors
from plw.models.loading import load_model
from plw.models.pickled import convert_pickled
from plw.study.chain import YamlLoader
from plw.study.configuration import load_configuration
from plw.study.rows import parse_rows
from tiny import tiny_model

LIBRARY = sorted((ROOT / "scripts").rglob("*.py"))
# Calls that can run what they are given.
RUNS_TEXT = {"eval", "exec", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads"}
RUNS_TEXT |= {"yaml.full_load", "yaml.unsafe_load", "joblib.load", "numpy.load", "np.load", "pd.read_pickle"}
RUNS_TEXT |= {"torch.hub.load", "shelve.open", "dill.loads", "cloudpickle.loads"}


class Program:
    """A pickle that writes a file when it is opened."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.fixture
def hostile(tmp_path) -> tuple[Path, Path]:
    """A model folder that brings code of its own for its configuration, model and tokenizer; what it would write."""
    folder, mark = tiny_model(tmp_path / "model"), tmp_path / "owned"
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    names = ("AutoConfig", "AutoModelForCausalLM", "AutoModel")
    config |= {"model_type": "own", "auto_map": dict.fromkeys(names, "own.Own"), "architectures": ["Own"]}
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer_config.json").read_text())
    words |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    return folder, mark


@pytest.mark.parametrize("load", [load_model, load_tokenizer, lambda source: token_counter(source)("a")])
def test_a_model_folders_own_code_is_not_run(hostile, load):
    folder, mark = hostile
    try:
        load({"path": str(folder)})
    except InputError as error:
        assert str(folder) in str(error)
    assert not mark.exists()
    assert not any(name.endswith("own") for name in sys.modules if "transformers_modules" in name)


def test_a_pickle_among_the_weights_is_not_opened_as_a_program(tmp_path):
    folder, mark = tiny_model(tmp_path / "model"), tmp_path / "owned"
    weights = folder / "pytorch_model.bin"
    torch.save({"a": Program(mark)}, weights)
    with pytest.raises(InputError):
        convert_pickled([weights], [], tmp_path / "new", origin={})
    weights.write_bytes(pickle.dumps(Program(mark)))
    with pytest.raises(InputError):
        convert_pickled([weights], [], tmp_path / "new", origin={})
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError):
        load_model({"path": str(folder)})
    with pytest.raises(InputError, match="pickle"):
        list(parse_rows(pickle.dumps(Program(mark)), "x.jsonl"))
    assert not mark.exists()


@pytest.mark.parametrize(
    "tag", ["apply:pathlib.Path.touch", "object/apply:os.system", "object/new:os.system", "name:os"]
)
def test_yaml_of_a_study_makes_no_objects(tmp_path, tag):
    mark = tmp_path / "owned"
    (tmp_path / "mine.yaml").write_text(f"base: test\ndescription: !!python/{tag} ['touch {mark}']\n")
    with pytest.raises((InputError, InputErrors)):
        load_configuration({"study": str(tmp_path / "mine.yaml")}, root=ROOT)
    assert not mark.exists()
    assert YamlLoader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", None))


def calls(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: word.value for word in node.keywords}, node.lineno


def test_no_call_of_the_library_could_run_what_it_reads():
    found = []
    for path in LIBRARY:
        for name, words, line in calls(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(ROOT)}:{line} {name}"
            if name in RUNS_TEXT or getattr(words.get("shell"), "value", False) is True:
                found.append(place)
            if name == "torch.load" and getattr(words.get("weights_only"), "value", None) is not True:
                found.append(place)
            if name == "yaml.load" and ast.unparse(words.get("Loader", ast.Constant(None))) != "YamlLoader":
                found.append(place)
            if "trust_remote_code" in words and getattr(words["trust_remote_code"], "value", None) is not False:
                found.append(place)
            reads_folder = name.endswith(".from_pretrained") and "scripts/world" not in str(path)
            reads_folder &= name != "GenerationConfig.from_pretrained"  # reads one JSON file and knows no such argument
            if reads_folder and "trust_remote_code" not in words:
                found.append(place)
    assert not found
