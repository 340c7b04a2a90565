"""The harness on a device whose memory is too small for a batch."""

from contextlib import contextmanager

import pytest
import torch
import yaml
from benchmark_samples import write_benchmarks
from checkout import ROOT
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.evaluation.harness import run_benchmark
from plw.evaluation.harness_model import HarnessModel
from plw.models.loading import load_model
from tiny import tiny_model

DEFINITIONS = ROOT / "config" / "harness"
REGISTRY = yaml.safe_load((ROOT / "config" / "benchmarks.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, dict]:
    return write_benchmarks(tmp_path_factory.mktemp("benchmarks") / "data")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder)
    source = {"path": str(folder)}
    return load_model(source), load_tokenizer(source)


def make_entry(name: str, sources: dict) -> dict:
    entry = {"name": name, **REGISTRY[name], "source": sources[name]}
    return entry | ({"max_new_tokens": 12} if entry["type"] == "GS" else {})


def score(entry: dict, loaded, *, batch_size: int = 4, shared_contexts: bool = False) -> dict:
    model = HarnessModel(*loaded, batch_size=batch_size, shared_contexts=shared_contexts)
    return run_benchmark(entry, model, folder=DEFINITIONS, evaluation={})


@contextmanager
def memory_for(rows: int, model):
    """A device on which a forward pass of more rows runs out of memory; gives the rows of all passes."""
    seen: list[int] = []

    def before(_module, arguments, keywords):
        given = keywords.get("input_ids", arguments[0] if arguments else None)
        seen.append(len(given))
        if len(given) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    hook = model.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["piqa", "truthfulqa_gen"])
def test_out_of_memory_halves_lm_evals_batches_and_the_scores_are_those_of_the_smaller_batch(
    name, shared, sources, loaded
):
    entry = make_entry(name, sources)
    expected = score(entry, loaded, batch_size=2, shared_contexts=shared)
    with memory_for(2, loaded[0]) as seen:
        found = score(entry, loaded, shared_contexts=shared)  # in batches of four
    assert max(seen) > 2
    assert found["items"] == expected["items"] and found["metrics"] == expected["metrics"]
    assert found["truncated_requests"] == expected["truncated_requests"]


def test_a_request_that_does_not_fit_alone_is_an_error_that_says_what_to_do(sources, loaded):
    with memory_for(0, loaded[0]), pytest.raises(InputError, match="does not fit into the device's memory"):
        score(make_entry("piqa", sources), loaded)
