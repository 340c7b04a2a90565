"""The harness's benchmarks.

Our numbers are lm-eval's own, and the ways in which we are faster change none of them.
"""

import copy
import json
import random
from pathlib import Path

import lm_eval
import pytest
import sacrebleu
import torch
import yaml
from benchmark_samples import write_benchmarks
from lm_eval.api.metrics import mean_stderr as package_mean_stderr
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.tasks.truthfulqa.utils import process_results_gen
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.evaluation.harness import compiled_templates, format_result, run_benchmark
from plw.evaluation.harness_metrics import bleu_stderr, mean_stderr, truthfulqa_gen_results
from plw.evaluation.harness_model import HarnessModel
from plw.evaluation.harness_tasks import load_task, published_preamble
from plw.models.loading import load_model
from tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "config" / "harness"
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))
STOCK_TASKS = Path(lm_eval.__file__).parent / "tasks"
STOCK_FILES = {
    "arc_challenge": "arc/arc_challenge",
    "piqa": "piqa/piqa",
    "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2",
    "winogrande": "winogrande/default",
    "truthfulqa_gen": "truthfulqa/truthfulqa_gen",
    "wmt14_en_fr": "translation/wmt14_en-fr",
    "wmt14_fr_en": "translation/wmt14_fr-en",
    "wmt16_en_de": "translation/wmt16_en-de",
    "wmt16_de_en": "translation/wmt16_de-en",
    "wmt16_en_ro": "translation/wmt16_en-ro",
    "wmt16_ro_en": "translation/wmt16_ro-en",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("harness")


@pytest.fixture(scope="module")
def sources(folder) -> dict[str, dict]:
    return write_benchmarks(folder / "data")


@pytest.fixture(scope="module")
def loaded(folder):
    tiny_model(folder / "model")
    source = {"path": str(folder / "model")}
    return load_model(source), load_tokenizer(source)


def make_entry(name: str, sources: dict, **changes) -> dict:
    entry = {"name": name, **REGISTRY[name], "source": sources[name]}
    if entry["type"] == "GS":
        entry["max_new_tokens"] = 12
    return entry | changes


def score(entry: dict, loaded, evaluation: dict | None = None, **options) -> dict:
    model = HarnessModel(*loaded, batch_size=4, **options)
    return run_benchmark(entry, model, folder=DEFINITIONS, evaluation=evaluation or {})


def stock_scores(entry: dict, loaded) -> dict[str, float]:
    """lm-eval's answer for its own definition of a benchmark; only the place of the rows is changed."""
    config = load_yaml(STOCK_TASKS / f"{STOCK_FILES[entry['name']]}.yaml")
    path = entry["source"]["path"]
    split = config.get("test_split") or config["validation_split"]
    parts = path if isinstance(path, dict) else {"all": path}
    files = {split: [file for part, file in parts.items() if part != "train"]}
    if "train" in parts:
        files["train"] = parts["train"]
    else:
        config |= {"training_split": None, "fewshot_split": None}
        if config.get("test_split"):
            config["validation_split"] = None
    config |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    if "translation" in str(config["doc_to_text"]):  # the paper's instruction is not part of the stock prompt
        config["doc_to_text"] = yaml.safe_load((DEFINITIONS / f"{entry['task']}.yaml").read_text())["doc_to_text"]
    if "generation_kwargs" in config or config["output_type"] == "generate_until":
        until = config.get("generation_kwargs", {"until": ["\n\n"], "do_sample": False})
        config["generation_kwargs"] = {**until, "max_gen_toks": entry["max_new_tokens"]}
    config.pop("tag", None)
    config["num_fewshot"] = entry["shots"]
    model = HFLM(pretrained=loaded[0], tokenizer=loaded[1], batch_size=4, add_bos_token=False)
    manager = TaskManager(include_defaults=False)
    answer = simple_evaluate(model=model, tasks=[config], task_manager=manager, bootstrap_iters=0)
    return {key.removesuffix(",none"): value for key, value in answer["results"][config["task"]].items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCK_FILES)
def test_scores_equal_a_direct_call_of_the_stock_definition_to_the_last_digit(name, sources, loaded):
    entry = make_entry(name, sources)
    if name == "truthfulqa_gen":  # lm-eval's ROUGE takes seconds per row
        rows = Path(entry["source"]["path"]).read_text().splitlines()[:2]
        short = Path(entry["source"]["path"]).with_name("two_rows.jsonl")
        short.write_text("\n".join(rows) + "\n")
        entry["source"] = {"path": str(short)}
    ours, theirs = score(entry, loaded), stock_scores(entry, loaded)
    for metric, result in ours["metrics"].items():
        percent = metric in ("bleu", "chrf", "ter") or metric.endswith(("_max", "_diff"))
        assert result["score"] == theirs[metric] / (100 if percent else 1), metric
    assert entry["metric"] in ours["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arc_challenge", "piqa", "truthfulqa_mc2", "winogrande"])
def test_shared_contexts_give_the_same_log_likelihoods(name, sources, loaded):
    entry = make_entry(name, sources)
    plain, shared = score(entry, loaded), score(entry, loaded, shared_contexts=True)
    assert plain["prompt_hash"] == shared["prompt_hash"]
    for before, after in zip(plain["items"], shared["items"], strict=True):
        assert after["log_likelihoods"] == pytest.approx(before["log_likelihoods"], abs=2e-4, rel=1e-5)
        assert after["acc"] == pytest.approx(before["acc"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["truthfulqa_gen", "wmt14_en_fr"])
def test_shared_contexts_generate_the_same_texts(name, sources, loaded):
    entry = make_entry(name, sources)
    plain, shared = score(entry, loaded), score(entry, loaded, shared_contexts=True)
    assert [item["output"] for item in plain["items"]] == [item["output"] for item in shared["items"]]


def test_shared_contexts_hold_for_requests_longer_than_the_context(sources, loaded):
    entry = make_entry("arc_challenge", sources, shots=12)
    model = copy.deepcopy(loaded[0])
    model.config.max_position_embeddings = 60
    plain, shared = score(entry, (model, loaded[1])), score(entry, (model, loaded[1]), shared_contexts=True)
    assert plain["truncated_requests"] == shared["truncated_requests"] == 4 * plain["n"]
    for before, after in zip(plain["items"], shared["items"], strict=True):
        assert after["log_likelihoods"] == pytest.approx(before["log_likelihoods"], abs=2e-4, rel=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_choices_that_tie_in_bfloat16_are_told_apart_by_a_softmax_in_float32(shared, loaded, folder):
    model = load_model({"path": str(folder / "model")}, dtype="bfloat16").eval()
    context = loaded[1]("name the cat and the dog", add_special_tokens=False)["input_ids"]
    choices = [[token, after] for token in range(3, 60) for after in (4, 9)]
    requests = [(("", ""), context, choice) for choice in choices]
    harness = HarnessModel(model, loaded[1], batch_size=1, shared_contexts=shared)
    found = [value for value, _ in harness._loglikelihood_tokens(requests, disable_tqdm=True)]
    expected, rounded = [], []
    for choice in choices:
        with torch.inference_mode():
            logits = model(torch.tensor([context + choice[:-1]])).logits[0, -2:]
        assert logits.dtype == torch.bfloat16
        at = torch.arange(2), torch.tensor(choice)
        expected.append(float(logits.float().log_softmax(dim=-1)[at].sum()))
        rounded.append(float(logits.log_softmax(dim=-1)[at].sum()))
    assert len(set(rounded)) < 20 < len(choices) / 2 < len(set(found))
    # a shared context adds its own terms in another order: logits near 0.2 move by a unit of bfloat16 (2^-10)
    assert found == pytest.approx(expected, abs=4e-3 if shared else 1e-6)


def test_translation_pools_validation_and_test_before_one_corpus_bleu(sources, loaded):
    entry = make_entry("wmt14_en_fr", sources)
    result = score(entry, loaded)
    assert result["n"] == 8 + 10
    outputs, targets = (
        [item["output"] for item in result["items"]],
        [item["target"] for item in result["items"]],
    )
    assert result["metrics"]["bleu"]["score"] == sacrebleu.corpus_bleu(outputs, [targets]).score / 100
    path = entry["source"]["path"]
    parts = [score({**entry, "source": {"path": path[split]}}, loaded) for split in ("validation", "test")]
    assert [item["output"] for part in parts for item in part["items"]] == outputs


def test_no_bos_stands_before_requests_unless_asked_for(loaded):
    model, tokenizer = loaded
    assert tokenizer("cat")["input_ids"][0] == tokenizer.bos_token_id
    without = HarnessModel(model, tokenizer, batch_size=2)
    with_bos = HarnessModel(model, tokenizer, batch_size=2, add_bos=True)
    assert without.tok_encode("cat") == with_bos.tok_encode("cat")[1:]
    assert with_bos.tok_encode("cat")[0] == tokenizer.bos_token_id


def test_the_few_shot_draw_depends_on_the_seed_and_not_on_the_model(sources, loaded, folder):
    entry = make_entry("arc_challenge", sources, shots=5)
    tiny_model(folder / "other", seed=1)
    other = load_model({"path": str(folder / "other")}), loaded[1]
    hashes = [
        score(entry, loaded)["prompt_hash"],
        score(entry, other)["prompt_hash"],
        score(entry, loaded, {"fewshot_seed": 1})["prompt_hash"],
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_first_n_gives_every_question_the_same_shots(sources):
    entry = make_entry("arc_challenge", sources, shots=3, fewshot_sampler="first_n")
    task = load_task(entry, folder=DEFINITIONS, evaluation={})
    contexts = [task.fewshot_context(doc, num_fewshot=3) for doc in task.eval_docs]
    first = task.dataset["train"][0]["question"]
    assert all(context.startswith(f"Question: {first}\nAnswer:") for context in contexts)


def test_held_out_rows_are_shots_and_are_not_scored(sources, loaded):
    path = sources["winogrande"]["path"]["dev"]
    changes = {"source": {"path": path}, "shots": 2, "fewshot_holdout": 3}
    entry = make_entry("winogrande", sources, **changes)
    task = load_task(entry, folder=DEFINITIONS, evaluation={})
    sentences = [json.loads(line)["sentence"] for line in Path(path).read_text().splitlines()]
    assert task.dataset["train"]["sentence"] == sentences[:3]
    assert task.dataset["validation"]["sentence"] == sentences[3:]
    assert score(entry, loaded)["n"] == len(sentences) - 3


def test_too_few_shots_are_an_error_that_says_what_to_do(sources):
    entry = make_entry("winogrande", sources, source={"path": sources["winogrande"]["path"]["dev"]})
    with pytest.raises(InputError, match="asks for 5 few-shot examples and there are 0") as caught:
        load_task(entry, folder=DEFINITIONS, evaluation={})
    assert "fewshot_holdout" in str(caught.value)


def test_limit_takes_the_first_rows(sources, loaded):
    entry = make_entry("piqa", sources)
    whole, part = score(entry, loaded), score({**entry, "limit": 3}, loaded)
    assert part["n"] == 3 and part["metrics"]["acc"]["n"] == 3
    assert part["items"] == whole["items"][:3]


def test_the_truthfulqa_preamble_is_the_packages_own_and_can_be_replaced(sources, folder):
    assert published_preamble().count("Q: ") == published_preamble().count("\nA: ") == 6
    stock = load_yaml(STOCK_TASKS / "truthfulqa" / "truthfulqa_mc1.yaml")["doc_to_text"]
    assert all(line in stock for line in published_preamble().splitlines())
    own = folder / "preamble.txt"
    own.write_text("Q: who\nA: cat\n")
    for name, end in (("truthfulqa_mc2", "\nA:"), ("truthfulqa_gen", "")):
        task = load_task(make_entry(name, sources), folder=DEFINITIONS, evaluation={"truthfulqa_preamble": str(own)})
        doc = task.eval_docs[0]
        assert task.doc_to_text(doc) == f"Q: who\nA: cat\n\nQ: {doc['question']}{end}"


def test_the_translation_instruction_can_take_alpacas_template(sources):
    entry = make_entry("wmt16_de_en", sources)
    task = load_task(entry, folder=DEFINITIONS, evaluation={"translation_prompt": "alpaca_template"})
    doc = task.eval_docs[0]
    prompt = task.doc_to_text(doc)
    assert "### Instruction:\nTranslate the following from German to English\n\n" in prompt
    assert prompt.endswith(f"### Input:\n{doc['translation']['de']}\n\n### Response:")
    prefix = load_task(entry, folder=DEFINITIONS, evaluation={}).doc_to_text(doc)
    phrase = f"German phrase: {doc['translation']['de']}\nEnglish phrase:"
    assert prefix == f"Translate the following from German to English\n{phrase}"


@pytest.mark.parametrize(
    ("changes", "evaluation", "message"),
    [
        ({"task": "piqq"}, {}, 'did you mean "piqa"'),
        ({"fewshot_sampler": "last"}, {}, "Unknown few-shot sampler"),
        (
            {"task": "wmt14_en_fr", "source": None},
            {"translation_prompt": "none"},
            "Unknown translation prompt",
        ),
    ],
)
def test_wrong_settings_are_named(changes, evaluation, message, sources):
    entry = make_entry("piqa", sources, **changes)
    if entry["source"] is None:
        entry["source"] = sources["wmt14_en_fr"]
    with pytest.raises(InputError, match=message):
        load_task(entry, folder=DEFINITIONS, evaluation=evaluation)


def test_a_primary_metric_that_the_task_lacks_is_an_error(sources, loaded):
    with pytest.raises(InputError, match="does not compute the benchmark's primary metric"):
        score(make_entry("piqa", sources, metric="f1", limit=2), loaded)


@pytest.mark.slow
def test_fast_truthfulqa_scores_equal_the_packages():
    draw = random.Random(3)
    words = ["the", "cat", "sat", "on", "a", "mat", ".", "it", "was", "red"]

    def text():
        return " ".join(draw.choices(words, k=draw.randint(1, 9)))

    for answer in (text(), text(), ""):
        doc = {"correct_answers": [text(), text()], "incorrect_answers": [text()]}
        ours, theirs = truthfulqa_gen_results(doc, [answer]), process_results_gen(doc, [answer])
        assert ours == {key: float(value) for key, value in theirs.items()}


def test_standard_errors_equal_lm_evals_for_means_and_a_text_bootstrap_for_bleu():
    values = [0.0, 1.0, 1.0, 0.25]
    assert mean_stderr(values) == pytest.approx(package_mean_stderr(values), rel=1e-12)
    assert mean_stderr([1.0]) is None
    draw = random.Random(1)
    references = [" ".join(draw.choices(["a", "b", "c", "d", "e", "f", "g"], k=9)) for _ in range(12)]
    predictions = [" ".join(reference.split()[: draw.randint(5, 9)]) for reference in references]
    generator = random.Random(5)
    scores = []
    for _ in range(100):
        picked = generator.choices(range(12), k=12)
        pairs = [predictions[i] for i in picked], [[references[i] for i in picked]]
        scores.append(sacrebleu.corpus_bleu(*pairs).score)
    expected = float(torch.tensor(scores, dtype=torch.float64).std())
    assert bleu_stderr(references, predictions, seed=5) == pytest.approx(expected, rel=1e-9)


def test_the_registry_says_what_table_2_says():
    rows = {name: (entry["group"], entry["type"], entry["version"], entry["shots"]) for name, entry in REGISTRY.items()}
    wmt = {name: ("III", "GS", 1, 0) for name in STOCK_FILES if name.startswith("wmt")}
    assert rows == wmt | {
        "arc_challenge": ("I", "MC", 0, 25),
        "piqa": ("I", "MC", 0, 0),
        "truthfulqa_mc2": ("II", "MC", 1, 0),  # Table 2 prints 6: built into the prompt
        "winogrande": ("I", "MC", 0, 5),
        "truthfulqa_gen": ("I", "GS", 1, 0),
        "alpaca_eval": ("II", "GL", 1, 1),
        "pandalm": ("II", "GL", 1, 0),
    }
    for entry in REGISTRY.values():
        if entry["framework"] == "harness":
            definition = load_yaml(DEFINITIONS / f"{entry['task']}.yaml", resolve_func=False)
            assert entry["metric"] in [item["metric"] for item in definition["metric_list"]]
            assert definition["task"] == f"plw_{entry['task']}" and "version" in definition["metadata"]


@pytest.mark.realdata
def test_every_real_sample_can_be_scored(shared_data, loaded):
    bench = shared_data / "bench"
    files = {
        "arc_challenge": {
            "train": bench / "arc_challenge.train.jsonl",
            "test": bench / "arc_challenge.test.jsonl.gz",
        },
        "piqa": bench / "piqa.valid.jsonl.gz",
        "truthfulqa_mc2": bench / "truthfulqa.mc_task.jsonl.gz",
        "truthfulqa_gen": bench / "truthfulqa.generation.jsonl.gz",
        "winogrande": bench / "winogrande.dev.jsonl",
        "wmt14_en_fr": sorted(bench.glob("wmt14.fr-en.*")),
        "wmt16_de_en": sorted(bench.glob("wmt16.de-en.*")),
        "wmt16_ro_en": sorted(bench.glob("wmt16.ro-en.*")),
    }
    rows = {
        "arc_challenge": 586,
        "piqa": 919,
        "truthfulqa_mc2": 409,
        "truthfulqa_gen": 409,
        "winogrande": 623,
    }
    for name, path in files.items():
        changes = {"fewshot_holdout": 10} if name == "winogrande" else {}
        changes |= {"shots": 2} if REGISTRY[name]["shots"] else {}
        entry = {"name": name, **REGISTRY[name], "source": {"path": path}, "max_new_tokens": None, **changes}
        task = load_task(entry, folder=DEFINITIONS, evaluation={})
        assert len(task.eval_docs) == rows.get(name, len(task.eval_docs)) > 400
        small = {**entry, "limit": 2} | ({"max_new_tokens": 4} if entry["type"] == "GS" else {})
        result = score(small, loaded, shared_contexts=True)
        assert result["n"] == 2 and 0 <= result["metrics"][entry["metric"]]["score"] <= 1


def test_prompts_with_cached_templates_are_lm_evals_own(sources):
    entry = make_entry("arc_challenge", sources, shots=3)
    task = load_task(entry, folder=DEFINITIONS, evaluation={})
    before = lm_eval.utils.apply_template
    plain = [task.fewshot_context(doc, num_fewshot=3) for doc in task.eval_docs]
    task.set_fewshot_seed(1234)
    with compiled_templates():
        cached = [task.fewshot_context(doc, num_fewshot=3) for doc in task.eval_docs]
    assert cached == plain
    assert lm_eval.utils.apply_template is before


def test_a_perfect_corpus_scores_one_and_not_a_rounding_error_more():
    text = "the red fox lives near the old river"
    percent = sacrebleu.corpus_bleu([text] * 3, [[text] * 3]).score
    assert percent == pytest.approx(100)
    sample = {"bleu": (text, text), "resps": [[text]], "filtered_resps": [text], "target": text, "doc": {}}
    sample |= {"arguments": [(text,)], "metrics": ["bleu"]}
    answer = {
        "samples": {"t": [sample | {"doc_id": place} for place in range(2)]},
        "results": {"t": {"bleu,none": 100.00000000000004}},
        "higher_is_better": {"t": {"bleu": True}},
        "versions": {"t": 1},
    }
    assert format_result(answer, "t", output_type="generate_until", metric="bleu")["metrics"]["bleu"]["score"] == 1.0
