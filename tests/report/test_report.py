"""The report page."""

import io
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from build_report import main
from PIL import Image
from plw.errors import InputError
from plw.report.artifacts import absent_artifacts, artifact_views, embedded_image, embedded_images, paper_order
from plw.report.claims import claim_rows, verdict_counts
from plw.report.page import code_marks, missing_groups, run_summary, setting_differences
from plw.report.questions import QUESTIONS
from plw.report.samples import MOST_PLWS, evenly, generations_view, memorisation_view, plain_runs
from plw.report.statistics import fit_view, gam_table, mechanism_table
from plw.report.tables import read_table, shown_number
from plw.scores.table import COLUMNS
from report_samples import RECORD, STUDY, claim, mechanism, outputs, page, picture, run_row

ROOT = Path(__file__).resolve().parents[2]
ANSWER = {
    "claim": "C01",
    "supported": "it does",
    "contradicted": "it does not",
    "inconclusive": "who knows",
    "number": "{}",
}
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)></pre>&amp;'
ARTIFACTS = [f"figure_{n}" for n in range(1, 11)] + [f"table_{n}" for n in range(1, 7)]


def texts(table: dict) -> list[list[str]]:
    return [[cell["text"] for cell in row] for row in table["rows"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"generations": {"r0": outputs(HOSTILE), "r1": outputs("fine")}},
        {"generations": {"r0": {"outputs": [{"instruction": HOSTILE, "output": "x"}]}}},
        {"mechanisms": [mechanism("r0", HOSTILE)]},
        {"claims": {"claims": [claim(text=HOSTILE)]}},
        {"claims": {"claims": [claim(numbers={HOSTILE: HOSTILE})]}},
        {"artifacts": {"table_1": f"**T**\n\n| a |\n|---|\n| {HOSTILE} |\n".encode()}},
        {"titles": {"figure_1": {"title": HOSTILE, "caption": HOSTILE}}, "artifacts": {"figure_1": picture(9, 9)}},
        {"missing": [{"run": "r", "benchmark": "b", "reason": HOSTILE}]},
        {"contradictions": [{"id": "I01", "places": "§1", "text": HOSTILE}]},
        {"study": {**STUDY, "description": HOSTILE}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_text_that_contains_markup_appears_as_text(changes):
    html = page(**changes)
    assert "&lt;script&gt;alert(" in html
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&amp;amp;" in html


def test_code_in_prose_is_marked_and_still_escaped():
    assert str(code_marks("set `a<b` & go")) == "set <code>a&lt;b</code> &amp; go"


def test_the_page_asks_no_network_and_forbids_scripts():
    html = page(artifacts={"figure_1": picture(9, 9)})
    assert all(address.startswith("data:image/png") for address in re.findall(r'src="([^"]*)"', html))
    assert not re.findall(r"https?://|@import|url\(|<script|<link", html)
    assert "default-src 'none'" in html


def test_every_link_of_the_page_leads_somewhere():
    html = page(
        artifacts={"figure_1": picture(9, 9)},
        claims={"claims": [claim()]},
        titles={"figure_1": {"question": "scores"}},
        sentences={"answer": [[ANSWER]], "artifacts": {"figure_1": {"says": "x", "claims": ["C01", "C99"]}}},
        deviations=[{"kind": "open", "what": "a", "place": "b", "paper": "c", "here": "d", "why": "e"}],
    )
    targets = re.findall(r'href="#([^"]*)"', html)
    assert {"main", "answer", "scores", "trust", "runs", "figure_1", "claim-C01"} <= set(targets)
    assert set(targets) <= set(re.findall(r'id="([^"]*)"', html))


def test_missing_runs_and_scores_are_shown():
    html = page(missing=[{"run": "r", "benchmark": "b", "reason": "no file"}])
    assert "incomplete" in html
    assert "1 missing" in html
    assert "no file" in html


def test_a_page_from_a_score_table_alone_says_so_and_leaves_sections_out():
    html = page(run_records=[], planned=None, scores_file="mine.csv")
    assert "score table <code>mine.csv</code> alone" in html
    for name in (*QUESTIONS, "trust", "samples", "claims", "missing"):
        assert f'id="{name}"' not in html
    assert "Hardware" not in html


def test_missing_scores_are_grouped_by_benchmark_and_reason():
    missing = [{"run": name, "benchmark": "b", "reason": "x"} for name in ("r1", "r2")]
    assert missing_groups(missing) == [{"benchmark": "b", "reason": "x", "runs": ["r1", "r2"]}]


def test_experiments_count_planned_and_finished_runs():
    runs = [{"run": "r0", "experiments": "main;ratios"}, {"run": "r1", "experiments": "main"}]
    html = page(runs=runs)
    assert "1 – incomplete" in html
    assert "PLW and performance" in html
    assert "incomplete" not in page(runs=runs, run_records=[])  # both have scores


def test_a_sweep_has_one_sentence_on_its_loss():
    other = {**RECORD, "plw": 1.0, "effective_loss": "Sum. Weights: 1.0 for prompt tokens."}
    assert run_summary([RECORD, other])["losses"] == ["Sum. Weights: PLW for prompt tokens."]


def test_losses_that_differ_in_a_sentence_are_not_told_twice_in_full():
    other = {**RECORD, "effective_loss": RECORD["effective_loss"] + " Plus dropout."}
    usual, difference = run_summary([RECORD, RECORD, other])["losses"]
    assert usual == "2 runs: Sum. Weights: PLW for prompt tokens."
    assert difference == "1 run, with this difference: Plus dropout."


def test_a_run_outside_of_a_git_checkout_says_so():
    assert run_summary([{**RECORD, "git": {"commit": None, "dirty": None}}])["commits"] == ["no git checkout"]


def test_energy_is_summed_only_where_every_run_could_read_it():
    assert run_summary([RECORD, {**RECORD, "energy_joules": 5.0}])["energy_joules"] is None
    assert run_summary([{**RECORD, "energy_joules": 5.0}] * 2)["energy_joules"] == 10.0


# --- figures and tables -----------------------------------------------------------------------------------------------


def test_artifacts_stand_in_the_papers_order():
    assert sorted(["table_1", "figure_10", "other", "figure_9", "table_6"], key=paper_order) == [
        "figure_9",
        "figure_10",
        "table_1",
        "table_6",
        "other",
    ]


def test_an_artifact_without_a_title_is_called_by_its_name():
    (view,) = artifact_views({"figure_2": picture(9, 9)}, titles={}, sentences={}, claims=[])
    assert view["title"] == "Figure 2"
    assert ">Figure 2</h3>" in page(artifacts={"figure_2": picture(9, 9)})


def test_artifacts_that_are_not_on_the_page_are_named():
    titles = {"table_4": {}, "figure_1": {}, "figure_10": {}, "table_losses": {"title": "The denominator"}}
    assert absent_artifacts({"figure_1": b""}, titles) == ["Figure 10", "Table 4", "The denominator"]
    assert absent_artifacts({}, {"table_4": {}}, {"table_4": "not run"}) == ["Table 4 (not run)"]


def test_a_picture_wider_than_the_limit_is_scaled_down_and_others_are_kept():
    small, large = picture(90, 10), picture(900, 100)
    assert len(embedded_image(large, max_width=300)["address"]) < len(embedded_image(large)["address"])
    assert embedded_image(small, max_width=300) == embedded_image(small)
    assert embedded_image(large, max_width=300)["width"] == 300
    assert embedded_image(picture(1300, 1300))["wide"] and not embedded_image(large)["wide"]


def test_images_that_are_too_much_for_a_page_have_fewer_colours():
    stream = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((400, 400)).save(stream, "PNG")
    contents = {"figure_1": stream.getvalue(), "table_1": b"**T**\n"}
    full, small = embedded_images(contents), embedded_images(contents, most=1)
    assert list(full) == ["figure_1"]
    assert len(small["figure_1"]["address"]) < len(full["figure_1"]["address"])


def test_a_markdown_table_reads_back_with_its_notes_bold_cells_and_sides():
    table = read_table(
        "**Table**\n\n| a |  | b |\n|:--|--:|:-:|\n| x \\| y | **<0.001** | 1.000* |\n\nA **bold** note.\n"
    )
    assert table["columns"] == ["a", "", "b"]
    assert table["rows"] == [
        [{"text": "x | y", "bold": False}, {"text": "<0.001", "bold": True}, {"text": "1.000*", "bold": False}]
    ]
    assert table["right"] == [False, True, False]
    assert table["notes"] == ["A bold note."]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (1234, "1,234"),
        (12345.6, "12,346"),
        (0.00038483, "0.000385"),
        (1e-6, "1e-06"),
        (-0.5, "−0.5"),
        ([1, 0.25], "1, 0.25"),
        ({"a": 1.5, "b": None}, "a 1.5; b –"),
        ("text", "text"),
    ],
)
def test_numbers_are_shown_as_readers_take_them_in(value, text):
    assert shown_number(value) == text


# --- claims -----------------------------------------------------------------------------------------------------------


def test_verdicts_are_counted_and_shares_are_whole():
    rows = claim_rows({"claims": [claim(), claim(id="C02", verdict="inconclusive"), claim(id="C03")]})
    counts = verdict_counts(rows)
    assert {item["verdict"]: item["count"] for item in counts} == {"supported": 2, "contradicted": 0, "inconclusive": 1}
    assert sum(item["share"] for item in counts) == pytest.approx(100)


def test_a_verdict_is_a_word_and_not_only_a_colour():
    html = page(claims={"claims": [claim(verdict="contradicted")]})
    assert "✗ contradicted</span>" in html


def test_an_unknown_verdict_is_an_error():
    with pytest.raises(InputError, match="C01 has an unknown verdict"):
        claim_rows({"claims": [claim(verdict="maybe")]})


def test_what_is_read_aloud_for_a_figure_ends_with_the_verdicts_on_it():
    rows = claim_rows({"claims": [claim(id="C05")]})
    titles = {"figure_2": {"alt": "Curves."}}
    sentences = {"figure_2": {"says": "s", "claims": ["C05", "C77"]}}
    (view,) = artifact_views({"figure_2": picture(9, 9)}, titles=titles, sentences=sentences, claims=rows)
    assert view["alt"] == "Curves. Verdicts on it: C05 supported."


# --- samples ----------------------------------------------------------------------------------------------------------


def test_no_more_weights_are_shown_than_the_slider_has_stops_and_style_for():
    rows = [run_row(f"r{i}", i / 40) for i in range(41)]
    shown = [row["plw"] for row in plain_runs(rows, STUDY)]
    assert len(shown) == MOST_PLWS and shown[0] == 0.0 and shown[-1] == 1.0
    assert f".plw-{MOST_PLWS - 1} " in page() and f".plw-{MOST_PLWS} " not in page()
    assert evenly([1, 2], 4) == [1, 2]


def test_runs_of_short_completions_without_regularizers_are_shown():
    rows = [
        run_row("long", 0.0, dataset="plain"),
        run_row("a", 0.0),
        run_row("b", 1.0),
        run_row("c", 1.0, normalization="sum_of_weights"),
        run_row("d", 1.0, regularizer="dropout", strength=0.1),
        run_row("e", 0.1),
    ]
    assert [row["run"] for row in plain_runs(rows, STUDY)] == ["a", "e", "b"]
    assert plain_runs([], STUDY) == []


def test_answers_stand_side_by_side_and_a_missing_one_says_so():
    rows = [run_row("r0", 0.0), run_row("r1", 1.0)]
    found = {"r0": outputs("a0", "a1", "a2"), "r1": outputs("b0")}
    view = generations_view(found, rows=rows, study=STUDY, benchmark="AlpacaEval", prompts=2)
    assert [block["prompt"]["text"] for block in view["blocks"]] == ["prompt 0", "prompt 2"]
    first, last = [[item["cell"] for item in block["lines"][0]["cells"]] for block in view["blocks"]]
    assert [cell["text"] for cell in first] == ["a0", "b0"]
    assert last[1] is None
    assert "not measured" in page(generations=found)


def test_long_answers_are_cut_and_the_rest_is_counted():
    html = page(generations={"r0": outputs("z" * 1000)})
    assert "300 more characters" in html
    assert "z" * 701 not in html


def test_no_samples_make_no_section():
    assert generations_view({}, rows=[run_row("r0", 0.0)], study=STUDY, benchmark="x") is None
    assert memorisation_view([{"run": "r0", "memorisation": None}], rows=[run_row("r0", 0.0)], study=STUDY) is None


def test_learnt_completions_stand_beside_the_training_data():
    view = memorisation_view([mechanism("r0", "mine")], rows=[run_row("r0", 0.0)], study=STUDY)
    assert view["blocks"][0]["reference"]["text"] == "the truth"
    assert texts(view["bleu"]) == [["Weak", "50.0"]]


# --- statistics, cost, settings ---------------------------------------------------------------------------------------


def test_a_fit_that_failed_is_shown_with_what_was_not_checked():
    result = {"dataset": "short", "model": "m", "converged": False, "design": {"rows": 9}, "fit": {"error": "singular"}}
    checks = {"permutation": {"p": None, "reason": "one PLW"}, "reasons": {"item_bootstrap": "no table of item scores"}}
    view = fit_view(result, checks, {"short": "Short"})
    assert ("Converged", "no") in view["lines"] and ("Error", "singular") in view["lines"]
    assert view["checks"] == [("Permutation test", "one PLW"), ("Item bootstrap", "no table of item scores")]
    assert view["sensitivity"] is None and view["left_out"] is None


def test_a_gam_that_could_not_be_fitted_says_why():
    table = gam_table({"fits": {"MC": {"w_p": {"reason": "two ratios only", "formula": "f", "warnings": []}}}})
    assert texts(table)[0][-1] == "two ratios only"
    assert gam_table(None) is None


def test_the_mechanisms_numbers_are_means_over_ptlms_without_regularized_runs():
    row = {"dataset": "short", "plw": "0.1", "normalization": "n", "regularizer": "none", "measure": "rsd"}
    rows = [{**row, "value": "1"}, {**row, "value": "2"}, {**row, "value": "9", "regularizer": "dropout"}]
    assert texts(mechanism_table(rows, {"short": "Short"})) == [
        ["Training loss RSD, five-step windows", "Short", "1.5"]
    ]
    assert mechanism_table([], {}) is None


def test_only_settings_that_change_results_are_compared_with_the_papers():
    paper = {"seeds": [42], "training": {"epochs": 3, "runtime_min": 480}, "experiments": {"main": 1}}
    study = {"seeds": [42], "training": {"epochs": 2, "runtime_min": 5}, "experiments": {}}
    assert texts(setting_differences(study, paper)) == [["training.epochs", "3", "2"]]
    assert setting_differences(paper, paper) is None
    assert setting_differences(study, None) is None


# --- the data files and the program -----------------------------------------------------------------------------------


def test_every_deviation_says_what_and_why():
    for item in yaml.safe_load((ROOT / "config/deviations.yaml").read_text(encoding="utf-8")):
        assert set(item) == {"kind", "what", "place", "paper", "here", "why"}, item["what"]
        assert item["kind"] in ("deviation", "open", "limit")
        assert all(isinstance(text, str) and text for text in item.values())


def test_every_artifact_has_the_papers_sentence_and_a_caption():
    sentences = yaml.safe_load((ROOT / "config/paper_sentences.yaml").read_text(encoding="utf-8"))["artifacts"]
    assert sorted(sentences, key=paper_order) == ARTIFACTS
    for name, sentence in sentences.items():
        assert sentence["says"] and (sentence.get("claims") or sentence.get("here")), name
    for name in [*ARTIFACTS, "claims", "report"]:
        assert (ROOT / f"workflow/report/{name}.rst").read_text(encoding="utf-8").strip(), name


def test_sentences_name_claims_that_exist_and_every_claim_on_results_stands_with_a_question():
    sentences = yaml.safe_load((ROOT / "config/paper_sentences.yaml").read_text(encoding="utf-8"))
    claims = yaml.safe_load((ROOT / "config/claims.yaml").read_text(encoding="utf-8"))["claims"]
    named = {key for item in sentences["artifacts"].values() for key in item.get("claims", ())}
    clauses = [clause for sentence in sentences["answer"] for clause in sentence]
    answered = [*clauses, *(clause["then"] for clause in clauses if "then" in clause)]
    assert all({"supported", "contradicted", "inconclusive"} <= set(clause) for clause in answered)
    assert {*named, *(item["claim"] for item in answered)} <= {item["id"] for item in claims}
    assert {item["id"] for item in claims if item["calibration"] != "diagnostic"} <= named


def test_every_artifact_answers_a_question_of_the_report_and_every_figure_says_what_is_seen():
    titles = yaml.safe_load((ROOT / "config/artifacts.yaml").read_text(encoding="utf-8"))
    sentences = yaml.safe_load((ROOT / "config/paper_sentences.yaml").read_text(encoding="utf-8"))
    assert {entry["question"] for name, entry in titles.items() if name != "figure_claims"} <= {*QUESTIONS, "runs"}
    assert all(len(entry["alt"]) > 60 for name, entry in titles.items() if name.startswith("figure_"))
    assert set(sentences["questions"]) == set(QUESTIONS) - {"other"}


def test_the_program_makes_a_page_from_a_score_table_alone(tmp_path):
    row = {**run_row("r0", 0.5), "benchmark": "piqa", "metric": "acc", "score": 0.5, "stderr": 0.1, "n": 4}
    pd.DataFrame([row])[COLUMNS].to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    (tmp_path / "artifacts.yaml").write_text("{}")
    flags = [f"--{name}={tmp_path / file}" for name, file in [("study", "study.yaml"), ("scores", "mine.csv")]]
    main([*flags, f"--artifacts={tmp_path / 'artifacts.yaml'}", f"--out={tmp_path / 'report.html'}"])
    assert "<code>mine.csv</code> alone: 1 scores of 1 runs" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_generations_without_a_run_are_an_error(tmp_path):
    test_the_program_makes_a_page_from_a_score_table_alone(tmp_path)
    flags = [f"--{name}={tmp_path / file}" for name, file in [("study", "study.yaml"), ("scores", "mine.csv")]]
    with pytest.raises(InputError, match="RUN=FILE"):
        main([*flags, f"--artifacts={tmp_path / 'artifacts.yaml'}", f"--out={tmp_path / 'x'}", "--generations", "file"])


def test_verdicts_on_models_in_the_place_of_the_papers_say_so():
    said = "take the place of the paper"
    study = {**STUDY, "ptlms": {name: {**entry, "stands_for": "LLaMA 1"} for name, entry in STUDY["ptlms"].items()}}
    assert said in page(study=study, claims={"claims": [claim()]})
    paper = {name: {**entry, "label": "LLaMA 1 7B"} for name, entry in study["ptlms"].items()}
    assert said not in page(study={**study, "ptlms": paper}, claims={"claims": [claim()]})
