"""What fine-tuning did to one model, measured while its weights are there (§5.3): distance and memorisation."""

import time
from dataclasses import asdict
from pathlib import Path

from plw.files import read_jsonl
from plw.mechanism.weight_distance import recorded_distance, weight_distance
from plw.study.records.code import VERSIONS, code_record


def measure_run(
    run: str, model: Path, ptlm: dict, instances: Path, *, settings: dict, evaluation: dict
) -> dict[str, object]:
    """The content of mechanism.json; what the settings leave out is null.

    model       its folder; run.json lies beside it
    ptlm        source of the model that it was trained from
    instances   instances.jsonl that it was trained on
    settings    {"weight_distance": bool, "memorisation": null or {"prompts", "seed", "max_new_tokens"}}
    evaluation  the study's; batch_size, dtype and device are used
    """
    started, source = time.perf_counter(), {"path": str(model)}
    code = code_record("measure_mechanism", VERSIONS["measure_mechanism"])
    result: dict[str, object] = {"run": run, "weight_distance": None, "memorisation": None}
    if settings.get("weight_distance"):
        # Where the saved model has its changes rounded away, its training measured before and wrote it down.
        recorded = recorded_distance(model.parent / "run.json")
        result["weight_distance"] = recorded or asdict(weight_distance(source, ptlm))
    if settings.get("memorisation"):
        # They load transformers: seconds that a distance alone does not need.
        from plw.mechanism.memorisation import memorisation
        from plw.models.loading import choose_device

        result["memorisation"] = memorisation(
            source,
            read_jsonl(instances),
            settings["memorisation"],
            dtype=evaluation.get("dtype", "float32"),
            device=choose_device(evaluation.get("device", "auto")),
            batch_size=evaluation.get("batch_size", 16),
        )
    return result | {"seconds": round(time.perf_counter() - started, 3), "code": code}
