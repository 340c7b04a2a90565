"""The lengths that demo and test estimate before their data are prepared, against those of prepared data."""

import json

import pytest
from checkout import ROOT
from plw.data.preflight import check_instances
from plw.data.preparation import derive_dataset, read_dataset
from plw.data.token_counts import token_counter
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.study.configuration import load_configuration
from plw.study.runs import datasets_of, list_runs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["test", "demo"])
@pytest.mark.filterwarnings("ignore:datasets")  # R_g misses its target where a world is as small as that of `test`
def test_estimated_lengths_are_those_of_the_prepared_data(name, tmp_path):
    import make_world
    import train_tokenizer

    study = load_configuration({"study": name}, root=ROOT)
    world, folder = study["world"], tmp_path / "world"
    make_world.main(["--seed", str(world["seed"]), "--size", json.dumps(world["size"]), "--out", str(folder)])
    texts = [str(folder / f"instruct/{character}.jsonl") for character in ("plain", "cleaned", "dialog", "balanced")]
    prompts = str(ROOT / "config/judges/demo_alpaca_eval.txt")
    train_tokenizer.main(["--corpus", f"{folder}/corpus.jsonl", "--instructions", *texts, "--prompts", prompts,
                          "--vocabulary", str(world["vocabulary"]), "--out", f"{folder}/tokenizer"])  # fmt: skip
    tokenizer = load_tokenizer({"path": f"{folder}/tokenizer"})
    prepare_tokenizer(tokenizer)
    prepared: dict[str, list] = {}
    names = datasets_of(list_runs(study), study)
    for dataset in names:
        entry = study["datasets"][dataset]
        if "from" in entry:
            made = derive_dataset(
                dataset, entry, prepared[entry["from"]], lambda: token_counter({"path": f"{folder}/tokenizer"})
            )
        else:
            path = entry["source"]["path"].rpartition("/world/")[2]
            made = read_dataset(dataset, {**entry, "source": {"path": str(folder / path)}}, {})
        prepared[dataset] = made[0]
    for dataset in names:
        estimate = study["plan"]["lengths"][dataset]
        found = check_instances(prepared[dataset], tokenizer, max_length=study["training"]["max_length"])
        assert found["rows"] == pytest.approx(estimate["rows"], rel=0.02), dataset
        assert found["mean_prompt_tokens"] == pytest.approx(estimate["prompt"], rel=0.05), dataset
        assert found["mean_completion_tokens"] == pytest.approx(estimate["completion"], rel=0.1), dataset
        whole = found["mean_prompt_tokens"] + found["mean_completion_tokens"]
        assert whole == pytest.approx(estimate["prompt"] + estimate["completion"], rel=0.1), dataset
