"""The way back of each number on the page: which file of the study's folder it is from, and which rule makes that."""

# part -> (file, rule); tests/report/test_sources.py holds them to the rules' own outputs.
SOURCES = {
    "claims": ("claims.json", "judge_claims"),
    "scores": ("scores.csv", "collect_scores"),
    "missing": ("missing.json", "collect_scores"),
    "fits": ("regression/{dataset}.json", "fit_glmm"),
    "checks": ("regression/{dataset}.checks.json", "check_regression"),
    "gam": ("regression/gam.json", "fit_gam"),
    "mechanism": ("mechanism.csv", "collect_mechanism"),
    "recited": ("runs/{run}/mechanism.json", "measure_mechanism"),
    "answers": ("runs/{run}/benchmarks/alpaca_eval.outputs.json", "evaluate_model"),
    "showing": ("showing.json", "check_showing"),
    "reading": ("data/{dataset}/rows.json", "prepare_dataset"),
    "preflight": ("data/{dataset}/preflight.json", "describe_dataset"),
    "trainings": ("runs/{run}/run.json", "train_model"),
    "runs": ("runs.csv", "list_runs"),
    "settings": ("study.yaml", "write_study"),
    "times": ("times/", ""),
}


def source(part: str, *, given_scores: bool = False, **names: str) -> str:
    """'FILE, rule RULE' of a part of SOURCES; `names` fill the file's pattern, what is not given stays a capital word.

    given_scores  the study was given its scores, which another rule takes over
    """
    file, rule = SOURCES[part]
    rule = "take_scores" if given_scores and rule == "collect_scores" else rule
    file = file.format(**{name: names.get(name, name.upper()) for name in ("dataset", "run")})
    return f"{file}, rule {rule}" if rule else f"{file}, Snakemake's own times"


def artifact_source(name: str) -> str:
    """The same of a figure or table: its numbers as a file beside the drawing, and the rule that makes both."""
    kind, verb = ("figures", "draw") if name.startswith("figure_") else ("tables", "make")
    return f"{kind}/{name}.csv, rule {verb}_{name}"
