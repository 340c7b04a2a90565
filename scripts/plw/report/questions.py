"""The report's sections: one for each question of the paper, then how far to trust the study, and what it cost."""

from collections.abc import Mapping, Sequence

# name -> (heading, word in the list of contents), in the page's order. An artifact says in config/artifacts.yaml which
# of them it answers.
QUESTIONS = {
    "scores": ("Does PLW matter for scores?", "Scores"),
    "ratio": ("For which data?", "Which data"),
    "mechanism": ("Why?", "Why"),
    "regularizers": ("Would another regularizer do?", "Regularizers"),
    "weight": ("Which weight should one take?", "Which weight"),
    "data": ("What were the models trained on?", "Training data"),
    "benchmarks": ("How does each benchmark go?", "Benchmarks"),
    "other": ("Other figures and tables", "Other"),
}
# What a question shows besides figures and tables: names of parts of the page's context.
PARTS = {
    "scores": ("fits",),
    "mechanism": ("mechanism", "generations", "memorisation"),
    "weight": ("gams",),
    "data": ("reading", "preflight"),
    "benchmarks": ("missing",),
}


def question_views(
    views: Sequence[dict], claims: Sequence[dict], *, titles: Mapping, sentences: Mapping, parts: Mapping
) -> list[dict]:
    """The questions that have something to show: {name, title, short, says, artifacts, decided, open}.

    views      of plw.report.artifacts.artifact_views; one without a question of QUESTIONS stands under "other"
    claims     of plw.report.claims.claim_rows; those that a question's figures and tables name stand with it, decided
               ones and `open` ones apart, whether or not the figure was made
    sentences  config/paper_sentences.yaml: `questions`, `artifacts`;  parts  the page's context, see PARTS
    """
    by_id = {claim["id"]: claim for claim in claims}
    named = sentences.get("artifacts") or {}
    found = []
    for name, (title, short) in QUESTIONS.items():
        shown = [view for view in views if (view["question"] if view["question"] in QUESTIONS else "other") == name]
        artifacts = [key for key, entry in titles.items() if entry.get("question") == name]
        ids = {key for artifact in artifacts for key in (named.get(artifact) or {}).get("claims", ())}
        judged = [by_id[key] for key in sorted(ids) if key in by_id and not by_id[key]["diagnostic"]]
        decided = [claim for claim in judged if claim["verdict"] != "inconclusive"]
        if shown or decided or any(parts[part] for part in PARTS.get(name, ())):
            found.append(
                {
                    "name": name,
                    "title": title,
                    "short": short,
                    "says": (sentences.get("questions") or {}).get(name, ""),
                    "artifacts": shown,
                    "decided": decided,
                    "open": [claim for claim in judged if claim["verdict"] == "inconclusive"],
                }
            )
    return found
