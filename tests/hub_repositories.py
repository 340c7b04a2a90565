"""Small repositories in the layout of the real ones that config/sources.yaml names, to be served by `hub_server`.

Rows are made here; names of files, columns, configurations and splits are those of the public repositories. Each holds
what must never be fetched as well: a loading script, other configurations, training data of a translation benchmark.
"""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from hub_server import HubServer

SCRIPT = "raise SystemExit('a loading script must never run')\n"
ANSWER = " ".join(["a", "long", "answer"] * 5)


def parquet(rows: list[dict]) -> bytes:
    """Rows as a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def card(*configs: tuple[str, dict[str, str]]) -> str:
    """A README.md whose front matter names the files of each configuration's splits."""
    entries = [
        {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files.items()]}
        for name, files in configs
    ]
    return f"---\nlicense: other\nconfigs: {json.dumps(entries)}\n---\n# Data\n"


def by_split(config: str, rows: dict[str, list[dict]]) -> dict[str, bytes]:
    """One Parquet file a split, in the configuration's folder."""
    return {f"{config}/{split}-00000-of-00001.parquet": parquet(part) for split, part in rows.items()}


def arc_rows(count: int, start: int = 0) -> list[dict]:
    return [
        {
            "id": str(i),
            "question": f"Which {i}?",
            "choices": {"text": ["a", "b"], "label": ["A", "B"]},
            "answerKey": "B",
        }
        for i in range(start, start + count)
    ]


def piqa_rows(count: int) -> list[dict]:
    return [{"goal": f"do {i}", "sol1": "so", "sol2": "otherwise", "label": i % 2} for i in range(count)]


def winogrande_rows(count: int) -> list[dict]:
    return [{"sentence": f"It is _ {i}.", "option1": "x", "option2": "y", "answer": "1"} for i in range(count)]


def mc_rows(count: int) -> list[dict]:
    targets = {"choices": ["yes", "no"], "labels": [1, 0]}
    return [{"question": f"Is it {i}?", "mc1_targets": targets, "mc2_targets": targets} for i in range(count)]


def generation_rows(count: int) -> list[dict]:
    answers = {"best_answer": "yes", "correct_answers": ["yes", "surely"], "incorrect_answers": ["no"]}
    return [{"type": "t", "category": "c", "question": f"Is it {i}?", **answers, "source": "s"} for i in range(count)]


def translation_rows(count: int, languages: str, word: str) -> list[dict]:
    return [{"translation": {language: f"{word} {i}" for language in languages.split("-")}} for i in range(count)]


def message_rows(count: int) -> list[dict]:
    def talk(i: int) -> list[dict]:
        return [{"role": "user", "content": f"Ask {i}"}, {"role": "assistant", "content": f"Tell {i}"}]

    return [{"prompt": f"Ask {i}", "prompt_id": str(i), "messages": talk(i), "chosen": talk(i), "rejected": talk(i)}
            for i in range(count)]  # fmt: skip


def alpaca_rows(count: int) -> list[dict]:
    return [{"instruction": f"Do {i}", "input": "", "output": f"{ANSWER} {i}"} for i in range(count)]


def reference_rows(count: int) -> list[dict]:
    kept = {"output": "the reference", "generator": "text_davinci_003", "dataset": "koala"}
    return [{"instruction": f"Do {i}", **kept} for i in range(count)]


def add_data(server: HubServer, sources: dict[str, dict]) -> None:
    """Every data set and benchmark of config/sources.yaml that is on the Hub, at the revision that it is pinned to."""

    def add(name: str, files: dict) -> None:
        entry = sources[name]
        server.add(entry["hub"], files, kind="dataset", commit=entry["revision"])

    arc = {"train": arc_rows(30, 100), "test": arc_rows(4), "validation": arc_rows(2, 50)}
    easy, hard = ({split: f"{name}/{split}-*" for split in arc} for name in ("ARC-Easy", "ARC-Challenge"))
    add("arc_challenge", {"README.md": card(("ARC-Challenge", hard), ("ARC-Easy", easy)),
                          **by_split("ARC-Challenge", arc), **by_split("ARC-Easy", arc)})  # fmt: skip
    # A mirror whose files lie side by side: without the card's list, splits are told by the files' names.
    counts = {"train": 3, "validation": 4, "test": 2}
    side_by_side = {f"piqa_{split}.parquet": parquet(piqa_rows(count)) for split, count in counts.items()}
    add("piqa", {"README.md": "# PIQA\n", **side_by_side})
    mc, generation = {"validation": mc_rows(3)}, {"validation": generation_rows(5)}
    add("truthful_qa", {"README.md": card(("generation", {"validation": "generation/validation-*"}),
                                          ("multiple_choice", {"validation": "multiple_choice/validation-*"})),
                        **by_split("multiple_choice", mc), **by_split("generation", generation)})  # fmt: skip
    winogrande = {"train": winogrande_rows(9), "validation": winogrande_rows(3), "test": winogrande_rows(2)}
    files = {split: f"winogrande_xl/{split}-*" for split in winogrande}
    add("winogrande", {"README.md": card(("winogrande_xl", files)), **by_split("winogrande_xl", winogrande),
                       **by_split("winogrande_xs", winogrande), "winogrande.py": SCRIPT})  # fmt: skip
    for name, pairs in (("wmt14_fr_en", ("cs-en", "fr-en")), ("wmt16_de_en", ("de-en", "ro-en"))):
        files = {}
        for pair in pairs:
            for shard in range(3):  # stands for gigabytes
                files[f"{pair}/train-{shard:05d}-of-00003.parquet"] = parquet(translation_rows(2, pair, "never"))
            files |= by_split(pair, {"validation": translation_rows(3, pair, "valid"),
                                     "test": translation_rows(2, pair, "test")})  # fmt: skip
        splits = ("train", "validation", "test")
        listed = [(pair, {split: f"{pair}/{split}-*" for split in splits}) for pair in pairs]
        add(name, {"README.md": card(*listed), **files, "wmt_utils.py": SCRIPT})
    add("alpaca_eval_dataset", {"README.md": "# AlpacaEval\n", "alpaca_eval.py": SCRIPT,
                                "alpaca_eval.json": json.dumps(reference_rows(4), indent=1),
                                "alpaca_farm_human_annotations.json": "[]"})  # fmt: skip
    parts = {split: f"data/{split}-*" for split in ("train_sft", "test_sft", "train_prefs", "test_prefs")}
    files = {f"data/{split}-00000-of-00001-0a1b2c3d4e5f6071.parquet": parquet(message_rows(6)) for split in parts}
    add("ultrafeedback_binarized_cleaned", {"README.md": card(("default", parts)), **files})
    dolly = [{"instruction": f"Do {i}", "context": "", "response": ANSWER, "category": "open_qa"} for i in range(5)]
    add("databricks_dolly_15k", {"README.md": "---\nlicense: cc-by-sa-3.0\n---\n# Dolly\n",
                                 "databricks-dolly-15k.jsonl": lines(dolly)})  # fmt: skip


def lines(rows: list[dict]) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
