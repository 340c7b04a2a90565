"""From the parts to the rates that a study's plan rests on: `plan.measured: results/gpu.json`."""

TRAINING = "training "  # keys of the part `speed` that are a model's


def plan_rates(found: dict) -> dict | None:
    """What plw.study.planning.device reads, or None as long as neither training nor generation is measured.

    {gpu, gpu_flops, gpu_bandwidth, source, sizes: [{shape, parameters, training_utilisation, reading_utilisation,
    writing_utilisation}]}: the keys and meanings of a study's `plan`, [slow, fast], for models of these sizes.
    """
    speed, generation = (_values(found, name) for name in ("speed", "generation"))
    if not speed and not generation:
        return None
    flops = generation.get("peak, FLOP/s") or speed["data sheet, FLOP/s"] or speed["matrix product, FLOP/s"]
    bandwidth = generation.get("bandwidth, bytes/s") or speed["data sheet, bytes/s"] or speed["copy, bytes/s"]
    sizes: dict[str, dict] = {}
    for name, of in speed.items():
        if name.startswith(TRAINING):
            peak = speed["data sheet, FLOP/s"] or speed["matrix product, FLOP/s"]
            shares = [share * peak / flops for share in of["share_of_peak"]]
            shape = name.removeprefix(TRAINING)
            sizes[shape] = {"shape": shape, "parameters": of["parameters"], "training_utilisation": shares}
    for shape, of in generation.items():
        if isinstance(of, dict):
            entry = sizes.setdefault(shape, {"shape": shape, "parameters": of["parameters"]})
            entry["reading_utilisation"] = of["reading_share"]
            if of["writing_share"]:
                entry["writing_utilisation"] = of["writing_share"]
    return {
        "gpu": found["device"]["name"],
        "gpu_flops": flops,
        "gpu_bandwidth": bandwidth,
        "source": f"measured on {found['device']['name']}",
        "sizes": sorted(sizes.values(), key=lambda entry: entry["parameters"]),
    }


def _values(found: dict, name: str) -> dict:
    return found["parts"].get(name, {}).get("values") or {}
