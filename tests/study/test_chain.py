"""Study files: merging, checking, and messages that name the place."""

from pathlib import Path

import pytest
import yaml
from plw.errors import InputError, InputErrors
from plw.study.chain import merge, read_study_file
from plw.study.configuration import load_configuration

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "config" / "studies").glob("*.yaml"))


def load(name, **config):
    return load_configuration({"study": str(name), "samples": "samples", **config}, root=ROOT)


def write_study(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def messages(folder: Path, text: str) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        load(write_study(folder, text))
    return [str(error) for error in caught.value.errors]


def test_the_named_studies_exist():
    assert {"demo", "test", "smol", "paper"} <= set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_valid_and_bears_its_files_name(name):
    study = load(name)
    assert study["name"] == name
    assert all("path" in e["source"] or "hub" in e["source"] for e in study["ptlms"].values())


def test_every_property_of_the_schema_that_a_user_sets_is_described():
    schema = yaml.safe_load((ROOT / "workflow/schemas/study.schema.yaml").read_text())
    for section in ("training", "evaluation", "statistics"):
        for key, entry in schema["properties"][section]["properties"].items():
            described = "description" in entry or "description" in schema["$defs"].get(
                entry.get("$ref", "").rpartition("/")[2], {}
            )
            assert described, f"{section}.{key}"


def test_merging_goes_into_mappings_and_replaces_the_rest_and_null_removes():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 0}}
    assert merge(base, {"a": {"y": [3]}, "b": {"n": 1}, "c": None}) == {"a": {"x": 1, "y": [3]}, "b": {"n": 1}}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 0}}


def test_an_own_study_says_only_what_it_changes(tmp_path):
    study = load(write_study(tmp_path, "base: demo\ntraining: {learning_rate: 0.002}\n"))
    demo = load("demo")
    assert study["training"] == {**demo["training"], "learning_rate": 0.002}
    assert study["name"] == "mine"
    assert study["datasets"]["plain"]["source"] == {"path": "results/mine/world/instruct/plain.jsonl"}


def test_a_misspelt_key_names_file_line_and_nearest_key(tmp_path):
    (message,) = messages(tmp_path, "base: demo\ntraining:\n  epochs: 1\n  learning_rte: 0.1\n")
    assert "Unknown key" in message
    assert "'learning_rte'" in message
    assert "mine.yaml, line 4" in message
    assert 'did you mean "learning_rate"?' in message


def test_seeds_by_data_set_name_data_sets_of_their_experiment(tmp_path):
    (message,) = messages(tmp_path, "base: demo\nexperiments:\n  main:\n    seeds: {shrt: [1, 2]}\n")
    assert "Unknown data set of this experiment" in message and "mine.yaml, line 4" in message
    assert 'did you mean "short"?' in message
    assert "less than the minimum" in messages(tmp_path, "base: demo\nexperiments: {main: {seeds: {short: [-1]}}}\n")[0]
    (message,) = messages(tmp_path, "base: demo\nexperiments: {main: {plw: {short: [0, 1], plain: [0, 1]}}}\n")
    assert "has no PLWs" in message and "'cleaned'" in message


def test_all_errors_are_shown_at_once(tmp_path):
    text = "base: demo\nseed: 3\ntraining: {epochs: -1, device: tpu}\nexperiments: {main: {plw: [0.1, 1.5]}}\n"
    found = messages(tmp_path, text)
    assert len(found) == 4
    assert any("1.5 is greater than the maximum of 1" in message and "line 4" in message for message in found)


def test_a_number_that_yaml_reads_as_text_gets_a_hint(tmp_path):
    (message,) = messages(tmp_path, "base: demo\ntraining: {learning_rate: 2e-5}\n")
    assert "write 2.0e-5" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiments: {main: {ptlms: [weka]}}", 'did you mean "weak"?'),
        ("experiments: {main: {datasets: [shrot]}}", 'did you mean "short"?'),
        ("datasets: {short: {from: claened}}", 'did you mean "cleaned"?'),
        ("run_experiments: [mian]", 'did you mean "main"?'),
        ("evaluation: {benchmarks: [piqua]}", 'did you mean "piqa"?'),
        ("tokenizer_of: strnog", 'did you mean "strong"?'),
        ("judges: {pandalm: null}", "has no judge"),
    ],
)
def test_a_name_that_refers_to_nothing_names_the_nearest(tmp_path, text, said):
    found = messages(tmp_path, f"base: demo\n{text}\n")
    assert any(said in message and "mine.yaml, line 2" in message for message in found), found


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("alpaca_eval: {python: null}", ("needs `python`", "judges.alpaca_eval.python", "openai_completions")),
        ("alpaca_eval: {backend: openai_completions}", ("needs `server`", "http://node17:8000/v1")),
        ("pandalm: {backend: openai_completions, server: http://n:1/v1}", ("greedily", "num_beams", "4")),
    ],
)
def test_a_judge_that_could_not_be_started_is_refused_when_the_study_is_read(tmp_path, judge, said):
    (message,) = messages(tmp_path, f"base: paper\njudges: {{{judge}}}\n")
    for words in said:
        assert words in message


def test_a_judge_that_nobody_asks_may_lack_what_it_needs(tmp_path):
    write_study(tmp_path, "base: paper\nevaluation: {benchmarks: [piqa]}\njudges: {alpaca_eval: {python: null}}\n")
    assert "python" not in load(str(tmp_path / "mine.yaml"))["judges"]["alpaca_eval"]


def test_a_source_that_is_no_known_name_names_the_nearest(tmp_path):
    found = messages(tmp_path, "base: demo\ndatasets: {plain: {source: alpaca_dtaa}}\n")
    assert "alpaca_data" in found[0]


def test_a_key_given_twice_is_refused(tmp_path):
    path = write_study(tmp_path, "base: demo\nseeds: [1]\nseeds: [2]\n")
    with pytest.raises(InputError, match="lines 2 and 3"):
        read_study_file(path)


def test_an_unknown_study_lists_the_known_ones():
    with pytest.raises(InputError, match="demo, generated, paper"):
        load("dmeo")


def test_an_unknown_configuration_key_is_refused():
    with pytest.raises(InputErrors, match="did you mean"):
        load("demo", sampels="x")


def test_studies_based_on_each_other_are_refused(tmp_path):
    path = write_study(tmp_path, f"base: {tmp_path / 'mine'}\n")
    with pytest.raises(InputError, match="circle"):
        load(path)


def test_a_study_that_needs_samples_says_how_to_name_them(tmp_path):
    path = write_study(tmp_path, "base: demo\ndatasets: {plain: {source: {path: '{samples}/a.jsonl'}}}\n")
    with pytest.raises(InputError, match="--config samples=FOLDER"):
        load_configuration({"study": str(path)}, root=ROOT)


def test_a_judges_reference_that_is_no_run_is_refused(tmp_path):
    path = write_study(
        tmp_path, "base: demo\njudges: {pandalm: {reference: {ptlm: strong, dataset: plain, plw: 0.3}}}\n"
    )
    with pytest.raises(InputError, match=r"judges\.pandalm\.reference"):
        load(path)


def test_a_misspelt_key_of_a_benchmark_is_refused(tmp_path):
    (message,) = messages(tmp_path, "base: demo\nbenchmarks: {piqa: {limti: 3}}\n")
    assert 'did you mean "limit"?' in message


CASES = ROOT / "tests/cases/studies"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latin1", ["This study file is not UTF-8", "latin1.yaml"]),
        ("utf16", ["This study file is not UTF-8", "utf16.yaml"]),
        ("norwegian", ['YAML reads no as false: write "no"', "line 4"]),
        ("label_no", ['YAML reads No as false: write "No"', "line 4"]),
        ("year", ['YAML reads 2024 as a number: write "2024"', "line 4"]),
    ],
)
def test_what_yaml_or_the_encoding_would_change_is_told_with_its_place(name, words):
    with pytest.raises((InputError, InputErrors)) as caught:
        load(CASES / f"{name}.yaml")
    for part in words:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base: demo\ndatasets: {[a, b]: {}}\n", "list or a mapping"),
        ("a: &x [*x]\n", "refers to itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)), "grows"),
        ("a: 2024-13-45\n", "not valid YAML"),
    ],
)
def test_a_study_file_that_would_stop_the_reader_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        load(write_study(tmp_path, text))
    assert words in str(caught.value) and "mine.yaml" in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_study(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: demo\n", encoding="utf-8-sig")
    assert load(path)["name"] == "mine"
