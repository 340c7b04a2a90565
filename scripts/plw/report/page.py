"""One self-contained page with everything that a study made; opens from disk, without a network.

Text that a model wrote is data: the template escapes everything, and the page forbids scripts and outside addresses.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from plw.report.answer import answer_view
from plw.report.artifacts import absent_artifacts, artifact_views
from plw.report.beside import beside_view
from plw.report.claims import claim_rows, families, verdict_counts, yardstick_table
from plw.report.cost import duration, time_table, total_energy, training_table
from plw.report.data import preflight_table, reading_table
from plw.report.questions import question_views
from plw.report.samples import generations_view, memorisation_view
from plw.report.showing import showing_view
from plw.report.sources import source
from plw.report.statistics import fit_view, gam_table, mechanism_table
from plw.report.tables import plain_table, shown_number
from plw.study.design import left_out_artifacts

TEMPLATES = Path(__file__).with_name("templates")

# Parts of a study whose settings are compared with the paper's; what is asked of a scheduler changes no result.
COMPARED = ("seeds", "training", "evaluation", "judges", "statistics")
FIRST = ("figure_1", "figure_claims")  # on the first screen, with the answer, and not in a section
GRANTED = ("runtime_min", "mem_mb", "threads", "gpus", "parameters")


def run_summary(run_records: list[dict]) -> dict:
    """What the trainings were, from the run.json of each.

    Returns the number of runs, counts by device and engine, total seconds and tokens, energy in joules where every run
    could read it, first and last end of a training, the distinct commits and package versions, and the loss in words.
    """
    versions: dict[str, set] = {}
    for record in run_records:
        for name, version in record["versions"].items():
            versions.setdefault(name, set()).add(str(version))
    commits = {
        f"{record['git']['commit'] or 'no git checkout'}{' (changed)' if record['git']['dirty'] else ''}"
        for record in run_records
    }
    finished = sorted(record["finished"][:16].replace("T", " ") for record in run_records if record.get("finished"))
    return {
        "runs": len(run_records),
        "devices": Counter(_device_name(record) for record in run_records),
        "seconds": sum(record["seconds_in_all"] for record in run_records),
        "tokens": sum(record["tokens"] for record in run_records),
        "energy_joules": total_energy(run_records),
        "finished": (finished[0], finished[-1]) if finished else None,
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "commits": sorted(commits),
        "losses": _losses([_general(record["effective_loss"]) for record in run_records]),
        "engines": Counter(
            "no DeepSpeed" if (stage := record["training"]["zero_stage"]) is None else f"DeepSpeed ZeRO-{stage}"
            for record in run_records
        ),
    }


def _device_name(record: dict) -> str:
    device, ranks = record["device"], record["processes"]
    name = device["model"] or device["cpu"] or device["type"]
    return f"{ranks} × {name}" if ranks > 1 else name


def _general(words: str) -> str:
    """The loss in words with the run's own PLW replaced by the letters, so that a sweep has one sentence."""
    return re.sub(r"Weights: \S+ for prompt", "Weights: PLW for prompt", words)


def _losses(words: list[str]) -> list[str]:
    """The most frequent loss in full, then the sentences in which each other one differs, with the number of runs."""
    counts = Counter(words).most_common()
    if len(counts) < 2:
        return [text for text, _ in counts]
    sentences = {text: re.split(r"(?<=\.) ", text) for text, _ in counts}
    usual = sentences[counts[0][0]]
    lines = [f"{counts[0][1]} runs: {counts[0][0]}"]
    for text, count in counts[1:]:
        other = " ".join(sentence for sentence in sentences[text] if sentence not in usual)
        lines.append(f"{count} run{'s' if count > 1 else ''}, with this difference: {other}")
    return lines


def missing_groups(missing: Sequence[dict]) -> list[dict]:
    """What missing.json lists, one line for each benchmark and reason: {benchmark, reason, runs: [names]}."""
    groups: dict[tuple, list] = {}
    for item in missing:
        groups.setdefault((item["benchmark"], item["reason"]), []).append(item["run"])
    return [{"benchmark": key[0], "reason": key[1], "runs": runs} for key, runs in groups.items()]


def design(rows: list[dict], study: dict) -> dict:
    """Ptlms and data sets of the runs with the paper's that each stands for, PLWs, seeds, and whether ptlms stand in.

    rows   dicts with ptlm, dataset, plw, seed
    """

    def named(registry: str, key: str) -> list[str]:
        texts = []
        for name in dict.fromkeys(row[key] for row in rows):
            entry = study.get(registry, {}).get(name, {})
            label, place = entry.get("label", name), entry.get("stands_for")
            texts.append(f"{label} (in the place of {place})" if place and place not in label else label)
        return texts

    return {
        "ptlms": named("ptlms", "ptlm"),
        "datasets": named("datasets", "dataset"),
        "plws": [f"{plw:g}" for plw in sorted({row["plw"] for row in rows})],
        "seeds": [str(seed) for seed in sorted({int(row["seed"]) for row in rows})],
        "stand_ins": any("in the place of" in text for text in named("ptlms", "ptlm")),
    }


def experiment_table(runs: list[dict], finished: set[str], study: dict) -> dict | None:
    """Planned and finished runs of each experiment; None without a run table.

    runs   rows of runs.csv: run, experiments (names joined by ';')
    """
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run["experiments"].split(";") if name):
        planned = [run["run"] for run in runs if name in run["experiments"].split(";")]
        done = len(finished.intersection(planned))
        about = study.get("experiments", {}).get(name, {}).get("description", "")
        rows.append([name, about, f"{len(planned):,}", f"{done:,}" + ("" if done == len(planned) else " – incomplete")])
    return (
        plain_table(["experiment", "question", "runs planned", "runs finished"], rows, right_from=2) if rows else None
    )


def setting_differences(study: dict, paper: dict | None) -> dict | None:
    """Settings of this study that differ from the paper's study; None where nothing differs or is to be compared.

    study, paper   as in config/studies; only the parts of COMPARED, without what is asked of a scheduler
    """
    rows = []
    for part in COMPARED if paper else ():
        assert paper is not None
        ours, theirs = _flat(study.get(part), part), _flat(paper.get(part), part)
        for key in dict.fromkeys([*theirs, *ours]):
            if ours.get(key) != theirs.get(key) and key.rsplit(".", 1)[-1] not in GRANTED:
                rows.append([key, shown_number(theirs.get(key)), shown_number(ours.get(key))])
    return plain_table(["setting", "paper study", "this study"], rows) if rows else None


def _flat(value: object, name: str) -> dict:
    if not isinstance(value, dict):
        return {name: value}
    return {key: found for part, item in value.items() for key, found in _flat(item, f"{name}.{part}").items()}


def page_context(
    *,
    study: dict,
    scores_file: str,
    score_rows: list[dict],
    n_scores: int,
    artifacts: dict[str, bytes],
    titles: dict,
    sentences: dict | None = None,
    runs: Sequence[dict] = (),
    run_records: Sequence[dict] = (),
    planned: int | None = None,
    missing: Sequence[dict] = (),
    readings: Sequence[dict] = (),
    preflights: Sequence[dict] = (),
    fits: Sequence[dict] = (),
    checks: Sequence[dict] = (),
    gam: dict | None = None,
    claims: dict | None = None,
    contradictions: Sequence[dict] = (),
    deviations: Sequence[dict] = (),
    paper_study: dict | None = None,
    generations: dict[str, dict] | None = None,
    mechanisms: Sequence[dict] = (),
    mechanism_rows: Sequence[dict] = (),
    times: dict[str, list[float]] | None = None,
    showing: dict | None = None,
    beside: dict | None = None,
) -> dict:
    """Everything that the templates show; a part that a study lacks is None or empty, and its section is left out.

    score_rows  one row for each run of the score table (RUN_COLUMNS of plw.study.runs, PLW as a number)
    n_scores    number of scores of primary and other metrics
    checks      regression/DATASET.checks.json; showing as plw.report.showing.check_showing gives it, times as
    plw.report.cost.read_times, beside the claims.json of another study; the others are the contents of the files that
    scripts/report/build_report.py names.
    """
    sentences = sentences or {}
    dataset_labels, ptlm_labels = (
        {name: entry.get("label", name) for name, entry in study.get(part, {}).items()}
        for part in ("datasets", "ptlms")
    )
    rows = claim_rows(claims)
    views = artifact_views(artifacts, titles=titles, sentences=sentences.get("artifacts") or {}, claims=rows)
    stands_for = design(score_rows, study)
    known_checks = {found["dataset"]: found for found in checks}
    summary = run_summary(list(run_records))
    context = {
        "study": study,
        "scores_file": scores_file,
        "n_scores": n_scores,
        "n_runs": len(score_rows),
        "from_scores_alone": not run_records,
        "design": stands_for,
        "answer": answer_view(
            sentences, record=claims, rows=rows, fits=fits, study=study, stand_ins=stands_for["stand_ins"]
        ),
        "planned": planned if planned is not None else len(runs) or summary["runs"],
        "summary": summary,
        "experiments": experiment_table(list(runs), {row["run"] for row in (list(run_records) or score_rows)}, study),
        "missing": list(missing),
        "missing_groups": missing_groups(missing),
        "claims": rows,
        "verdicts": verdict_counts(rows),
        "judged": sum(not row["diagnostic"] for row in rows),
        "yardstick": yardstick_table(claims),
        "noise": (claims or {}).get("noise", ""),
        "families": families(rows),
        "beside": beside_view(rows, claim_rows(beside), name=study["name"], study=beside["study"]) if beside else None,
        "first": {view["name"]: view for view in views if view["name"] in FIRST},
        "licences": [view for view in views if view["question"] == "runs"],
        "absent": absent_artifacts(artifacts, titles, _reasons(study, from_scores=not run_records)),
        "showing": showing_view(showing, _labels(study)),
        "generations": generations_view(
            generations or {}, rows=score_rows, study=study, benchmark=_label(study, "alpaca_eval")
        ),
        "memorisation": memorisation_view(list(mechanisms), rows=score_rows, study=study),
        "fits": [fit_view(fit, known_checks.get(fit["dataset"]), dataset_labels) for fit in fits],
        "gams": gam_table(gam),
        "mechanism": mechanism_table(list(mechanism_rows), dataset_labels),
        "contradictions": list(contradictions),
        "deviations": list(deviations),
        "differences": setting_differences(study, paper_study) if run_records else None,
        "reading": reading_table(readings, dataset_labels) if readings else None,
        "preflight": preflight_table(preflights, dataset_labels) if preflights else None,
        "times": time_table(times or {}),
        "trainings": training_table(run_records, ptlm_labels),
    }
    questions = question_views(
        [view for view in views if view["name"] not in FIRST and view["question"] != "runs"],
        rows,
        titles=titles,
        sentences=sentences,
        parts=context,
    )
    return {**context, "questions": questions, "contents": contents(questions, context)}


def _reasons(study: dict, *, from_scores: bool) -> dict[str, str]:
    return left_out_artifacts(study, from_scores=from_scores) if "run_experiments" in study else {}


def _label(study: dict, benchmark: str) -> str:
    return study.get("benchmarks", {}).get(benchmark, {}).get("label", benchmark)


def _labels(study: dict) -> dict[str, str]:
    return {name: entry.get("label", name) for name, entry in study.get("benchmarks", {}).items()}


def contents(questions: Sequence[dict], context: dict) -> dict[str, str]:
    """The list of contents: anchor -> word."""
    trust = ("claims", "showing", "deviations", "differences", "contradictions", "absent")
    return {
        "answer": "In short",
        **{question["name"]: question["short"] for question in questions},
        **({"trust": "How far to trust it"} if any(context[part] for part in trust) else {}),
        "runs": "Cost and runs",
    }


def build_page(context: dict) -> str:
    """Fill the page's Jinja template; every value is escaped, a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "ticks": code_marks}
    environment.globals["source"] = partial(source, given_scores=context["from_scores_alone"])
    return environment.get_template("page.html.j2").render(**context)


def code_marks(text: str) -> Markup:
    """Our own prose with `code` as an HTML element; everything in it is escaped first."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
