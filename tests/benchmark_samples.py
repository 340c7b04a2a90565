"""Small made-up benchmarks in the forms of the real ones, for the tests of the evaluation."""

import json
import random
from pathlib import Path

from tiny import WORDS

LANGUAGES = ("en", "fr", "de", "ro")


def write_benchmarks(folder: Path, *, rows: int = 8, seed: int = 0) -> dict[str, dict]:
    """Write one file or more per benchmark; return each benchmark's source."""
    draw = random.Random(seed)

    def words(count: int) -> str:
        return " ".join(draw.choices(WORDS, k=count))

    def arc(index: int) -> dict:
        choices = {"text": [words(2 + i) for i in range(4)], "label": list("ABCD")}
        return {"id": str(index), "question": words(5), "choices": choices, "answerKey": draw.choice("ABCD")}

    def winogrande(index: int) -> dict:
        pair = {"option1": words(1), "option2": words(1), "answer": draw.choice("12")}
        return {"sentence": f"{words(3)} _ {words(3)}.", **pair}

    def truthfulqa(index: int) -> dict:
        labels = [1, 1, 0, 0, 0]
        return {
            "question": words(5) + "?",
            "mc1_targets": {"choices": [words(3), words(3)], "labels": [1, 0]},
            "mc2_targets": {"choices": [words(3) for _ in labels], "labels": labels},
            "best_answer": words(4),
            "correct_answers": [words(4), words(3)],
            "incorrect_answers": [words(4), words(5)],
        }

    def piqa(index: int) -> dict:
        return {"goal": words(4), "sol1": words(4), "sol2": words(6), "label": draw.randint(0, 1)}

    def pair(index: int) -> dict:
        return {"translation": {language: words(5) for language in LANGUAGES}}

    def judged(index: int) -> dict:
        return {
            "dataset": "made",
            "instruction": f"{words(4)} {index}",
            "output": words(6),
            "generator": "ref",
        }

    def pandalm(index: int) -> dict:
        return {
            "motivation_app": "app",
            "instruction": f"{words(4)} {index}",
            "input": words(3) if index % 2 else "",
        }

    def write(name: str, make, count: int = rows) -> str:
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(make(index)) + "\n" for index in range(count)), encoding="utf-8")
        return str(path)

    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, dict] = {
        "arc_challenge": {"path": {"train": write("arc.train", arc, 30), "test": write("arc.test", arc)}},
        "piqa": {"path": write("piqa", piqa)},
        "truthfulqa_mc2": {"path": write("truthfulqa", truthfulqa)},
        "winogrande": {"path": {"train": write("wino.train", winogrande, 12), "dev": write("wino", winogrande)}},
        "alpaca_eval": {"path": write("alpaca_eval", judged)},
        "pandalm": {"path": write("pandalm", pandalm)},
    }
    sources["truthfulqa_gen"] = sources["truthfulqa_mc2"]
    translations = {"path": {"validation": write("wmt.val", pair), "test": write("wmt.test", pair, rows + 2)}}
    return sources | {
        name: translations
        for name in ("wmt14_en_fr", "wmt14_fr_en", "wmt16_en_de", "wmt16_de_en", "wmt16_en_ro", "wmt16_ro_en")
    }
