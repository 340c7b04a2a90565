"""Which files the generated world consists of."""

from collections.abc import Iterator

from plw_world import benchmarks, corpus, instructions, judging
from plw_world.languages import build_languages
from plw_world.tasks import Setting
from plw_world.world import build_world


def world_files(*, seed: int, size: dict[str, int]) -> Iterator[tuple[str, str | list[dict]]]:
    """Yield (path inside the world's folder, content); content is text or the rows of a JSON Lines file.

    corpus.jsonl {text} · instruct/CHARACTER.jsonl · benchmarks/*.jsonl in the real data sets' forms ·
    benchmarks/truthfulqa.preamble.txt · judge/{train,heldout}.jsonl (see judging.judge_pairs)
    """
    setting = Setting(build_world(seed=seed, size=size), build_languages(seed=seed), size)
    yield (
        "corpus.jsonl",
        [{"text": text} for text in corpus.documents(setting, seed=seed, count=size["documents"])],
    )
    for character in instructions.CHARACTERS:
        rows = instructions.instruction_rows(setting, seed=seed, character=character, count=size["instructions"])
        yield f"instruct/{character}.jsonl", rows
    for name, content in _benchmark_files(setting, seed, size):
        yield f"benchmarks/{name}", content
    for split in ("train", "heldout"):
        yield (
            f"judge/{split}.jsonl",
            judging.judge_pairs(setting, seed=seed, split=split, count=size[f"judge_{split}"]),
        )


def _benchmark_files(setting: Setting, seed: int, size: dict[str, int]) -> Iterator[tuple[str, str | list[dict]]]:
    train, test = benchmarks.arc(setting, seed=seed, train=size["arc_train"], test=size["arc_test"])
    yield "arc_challenge.train.jsonl", train
    yield "arc_challenge.test.jsonl", test
    yield "piqa.validation.jsonl", benchmarks.piqa(setting, seed=seed, count=size["piqa"])
    choice, generation, preamble = benchmarks.truthfulqa(setting, seed=seed, count=size["truthfulqa"])
    yield "truthfulqa_mc.validation.jsonl", choice
    yield "truthfulqa_gen.validation.jsonl", generation
    yield "truthfulqa.preamble.txt", preamble
    train, test = benchmarks.winogrande(setting, seed=seed, train=size["winogrande_train"], count=size["winogrande"])
    yield "winogrande.train.jsonl", train
    yield "winogrande.validation.jsonl", test
    for code, name in benchmarks.PAIRS.items():
        for split in ("validation", "test"):
            rows = benchmarks.translations(setting, seed=seed, code=code, split=split,
                                           count=size[f"translation_{split}"])  # fmt: skip
            yield f"{name}.{split}.jsonl", rows
    yield "alpaca_eval.reference.jsonl", benchmarks.alpaca_eval(setting, seed=seed, count=size["alpaca_eval"])
    yield "pandalm.jsonl", benchmarks.pandalm(setting, seed=seed, count=size["pandalm"])
