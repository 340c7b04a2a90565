"""Error rates of the claims' verdicts, on simulated studies of a finished study's design.

    python benchmarks/bench_verdicts.py --study results/demo --worlds 200 --out verdicts.json

Each simulated study is judged as a real one is: its noise is estimated from its own scores, and its verdicts come from
simulations of its own, drawn anew for each (one draw for all would put its own luck into every verdict). In worlds
without effects no verdict may be "supported", in the paper's none "contradicted", but for 5 % each (for a claim of no
effect the first world is the one at the edge of the claim). R is not called: in place of the mixed model stands its
two-stage form, so that the claims of §5.2 are measured without the other tests' veto, which only makes fewer verdicts.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from plw.claims.evidence import Evidence, cells  # noqa: E402
from plw.claims.evidence_files import evidence_of_folder  # noqa: E402
from plw.claims.judging import judge  # noqa: E402
from plw.claims.measures import mean_curve  # noqa: E402
from plw.claims.reading import read_claims  # noqa: E402
from plw.claims.simulation.studies import simulate  # noqa: E402
from plw.files import write_json  # noqa: E402

CONFIG = ROOT / "config"


def as_a_study(evidence: Evidence, drawn: Evidence, place: int) -> Evidence:
    """One of the drawn studies as if it had been measured."""
    mechanism = evidence.mechanism
    if mechanism is not None and drawn.measures is not None:
        mechanism = mechanism.assign(value=drawn.measures[place])
    scores = evidence.scores.assign(score=drawn.values[place])
    study = replace(evidence, scores=scores, mechanism=mechanism, checks={}, memory={})
    return replace(study, regressions={role: two_stage_fit(study, role) for role in evidence.regressions})


def two_stage_fit(study: Evidence, role: str) -> dict:
    """The two-stage form of the mixed model as a regression without a test of its own."""
    part = cells(study, role, {"least_judgeable": 0})
    curve = mean_curve(part.settings, part.values)
    coefficients = {"w_p": {"estimate": float(curve.b1[0])}, "w_p2": {"estimate": float(curve.b2[0])}}
    return {"converged": True, "fit": {"coefficients": coefficients}}


def verdicts(evidence: Evidence, claims: list[dict], config: dict, simulated: int, seed: int) -> dict[str, str]:
    studies = simulate(evidence, config, number=simulated, seed=seed)
    return {claim["id"]: judge(claim, evidence, studies).verdict for claim in claims}


def interval(count: int, number: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    z, p = 1.96, count / number
    middle = (p + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(p * (1 - p) / number + z * z / (4 * number * number)) / (1 + z * z / number)
    return [round(middle - half, 3), round(middle + half, 3)]


def main(argv: list[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--study", type=Path, required=True, help="folder of a finished study")
    flags.add_argument("--worlds", type=int, default=200, help="studies in each world")
    flags.add_argument("--simulated", type=int, help="studies that each is judged by (config/claims.yaml says it)")
    flags.add_argument("--seed", type=int, default=7, help="of the simulated studies; their judges' follow from it")
    flags.add_argument("--only", nargs="*", default=[], help="claims; all that are simulated if none is named")
    flags.add_argument("--out", type=Path, required=True, help="written after every ten studies: the rates (JSON)")
    given = flags.parse_args(argv)
    config = yaml.safe_load((CONFIG / "paper_worlds.yaml").read_text(encoding="utf-8"))
    claims = [claim for claim in read_claims(CONFIG / "claims.yaml") if claim["calibration"] == "worlds"]
    simulated = given.simulated or claims[0]["parameters"]["simulated"]
    claims = [claim for claim in claims if not given.only or claim["id"] in given.only]
    evidence = evidence_of_folder(given.study, CONFIG)
    design = simulate(evidence, config, number=given.worlds, seed=given.seed)
    truth = design.with_noise(design.noise.known())  # a world has one noise; its judges have to find it
    kinds = {
        "without": (truth.world(None), truth.world(None, equal=True), [c for c in claims if not c.get("against")]),
        "edge": (truth.world("margin"), truth.world("margin", equal=True), [c for c in claims if c.get("against")]),
        "paper": (truth.world("paper"), truth.world("paper", equal=True), [c for c in claims if not c.get("against")]),
        "no effect": (truth.world(None), truth.world(None, equal=True), [c for c in claims if c.get("against")]),
    }
    counts: dict[str, dict[str, Counter]] = {kind: {} for kind in kinds}
    started = time.perf_counter()
    for place in range(given.worlds):
        for kind, (own, equal, asked) in kinds.items():
            for drawn, part in (
                (own, [c for c in asked if c.get("levels") != "equal"]),
                (equal, [c for c in asked if c.get("levels") == "equal"]),
            ):
                if part:
                    judges = 1000 * given.seed + 1 + place
                    found = verdicts(as_a_study(evidence, drawn, place), part, config, simulated, judges)
                    for name, verdict in found.items():
                        counts[kind].setdefault(name, Counter())[verdict] += 1
        if (place + 1) % 10 == 0 or place + 1 == given.worlds:
            result = {"worlds": place + 1, "seconds": round(time.perf_counter() - started), "claims": {}}
            for kind, found in counts.items():
                wrong = "supported" if kind in ("without", "edge") else "contradicted"
                right = "contradicted" if wrong == "supported" else "supported"
                for name, counted in found.items():
                    entry = result["claims"].setdefault(name, {})
                    entry[f"false {wrong}"] = counted[wrong] / (place + 1)
                    entry[f"false {wrong}, 95 %"] = interval(counted[wrong], place + 1)
                    entry[f"right {right}"] = counted[right] / (place + 1)
            write_json(given.out, result)
            print(
                f"{place + 1} of {given.worlds} studies in each world, {result['seconds']} s",
                file=sys.stderr,
                flush=True,
            )
    rows = [{"claim": name, **entry} for name, entry in sorted(json.loads(given.out.read_text())["claims"].items())]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
