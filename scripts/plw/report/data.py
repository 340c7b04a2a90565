"""The data before training as the report shows them: what was read of each set, and what tokenisation does to it."""

from collections.abc import Sequence

from plw.data.reading import met
from plw.report.tables import plain_table, shown_number


def reading_table(records: Sequence[dict], labels: dict[str, str]) -> dict:
    """What was met in the rows of each data set, left out or kept; one row for each reason, one where there is none.

    records  contents of rows.json
    """
    columns = ["data set", "rows read", "rows kept", "rows", "what of them", "first of them", "then"]
    rows = []
    for record in records:
        head = [
            labels.get(record["dataset"], record["dataset"]),
            f"{record['rows_read']:,}",
            f"{record['rows_kept']:,}",
        ]
        found = [
            [f"{item['count']:,}", item["words"], item["places"] or "–", "kept" if item["kept"] else "left out"]
            for item in met(record)
        ]
        rows += [[*(head if place == 0 else ["", "", ""]), *part] for place, part in enumerate(found)]
        if not found:
            rows.append([*head, "0", "nothing was noticed", "–", "–"])
    table = plain_table(columns, rows)
    return table | {"right": [name in ("rows read", "rows kept", "rows") for name in columns]}


def preflight_table(preflights: Sequence[dict], labels: dict[str, str]) -> dict:
    """What truncation and tokenisation do to each data set: counts of rows and shares."""
    problems = {
        "truncated": "truncated",
        "completion_lost": "completion lost",
        "eos_lost": "EOS lost",
        "prompt_not_prefix": "prompt not a prefix",
        "special_token_in_text": "special token in the text",
    }
    if any("answers_lost" in found["problems"] for found in preflights):  # sets of whole conversations
        problems["answers_lost"] = "answers lost at the end"
    columns = ["data set", "rows", *problems.values(), "prompt tokens", "completion tokens", "R_g that the loss sees"]
    rows = []
    for found in preflights:
        counts = [found["problems"].get(key) for key in problems]  # an older file counts less
        rows.append(
            [
                labels.get(found["dataset"], found["dataset"]),
                f"{found['rows']:,}",
                *(f"{count['rows']:,} ({100 * count['share']:.1f} %)" if count else "–" for count in counts),
                f"{found['mean_prompt_tokens']:.1f}",
                f"{found['mean_completion_tokens']:.1f}",
                shown_number(found["r_g_of_loss"]),
            ]
        )
    return plain_table(columns, rows, right_from=1)
