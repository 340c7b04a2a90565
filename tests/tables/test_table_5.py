"""Table 5 and Figure 10 from a gam.json, and what the paper's printed optima say."""

import csv
import io
import json
from pathlib import Path

import draw_figure_10
import make_table_5
import pytest
import yaml
from plw.figures.figure_10 import draw, figure_data, note_of
from plw.figures.style import style_with
from plw.scores.transform import from_w_p, to_w_p
from plw.tables.table import to_csv, to_latex, to_markdown
from plw.tables.table_5 import table_5

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = yaml.safe_load((ROOT / "config" / "paper_numbers.yaml").read_text(encoding="utf-8"))
PRINTED = NUMBERS["table_5"]
DATASETS = [
    {"name": "short", "label": "Short", "stands_for": "AlpacaDataShort"},
    {"name": "plain", "label": "Plain", "stands_for": "AlpacaData"},
    {"name": "medium", "label": "Medium", "stands_for": "AlpacaDataMedium"},
]


def optimum(r_g: float, *, starred: bool = False, outside: bool = False) -> dict:
    return {"r_g": r_g, "w_p": 0.57, "plw": from_w_p(0.57), "low_w_p": 0.5, "low": 0.1, "high_w_p": 0.8,
            "high": 0.477, "value": 0.2, "range": 0.04, "range_share": 0.04, "starred": starred,
            "extrapolated": outside}  # fmt: skip


def fit() -> dict:
    grid = {"w_p": [0.0, 0.5, 1.0], "r_g": [0.0, 4.0, 8.0], "value": [[-0.2, 0.3, 0.1], [0.0, 0.1, 0.0], [0.0, 0, 0.1]]}
    return {
        "reason": None, "converged": True, "warnings": [], "grid": grid,
        "rows": [optimum(8.0, starred=True, outside=True), optimum(0.5)],
        "ridge": [optimum(r_g, starred=r_g > 2) for r_g in grid["r_g"]],
    }  # fmt: skip


def gam(**fits) -> dict:
    none = {"reason": "only 2 different ratios R_g; te(w, r, k = 3) needs 3", "rows": [], "ridge": [], "grid": None}
    settings = {"ratios": [8.0, 0.5], "k": 3, "grid_step": 0.01, "star_share": 0.05, "alpha": 0.05, "samples": 2000}
    return {
        "covariate": "w_p", "settings": settings, "levels": {"short": 0.08, "plain": 3.3, "medium": 1.0},
        "left_out": [], "design": {"runs": 58, "runs_planned": 60},
        "fits": {name: {reading: fits.get(name, none) for reading in ("w_p", "plw")} for name in ("All", "MC", "Gen")},
    }  # fmt: skip


# ---- the paper's numbers


def test_the_printed_unstarred_optima_lie_on_a_grid_of_w_p_in_steps_of_a_hundredth():
    found = {value for cells in PRINTED["rows"].values() for value, starred in cells if not starred}
    assert found == set(PRINTED["derived"]["w_p"])
    step = PRINTED["derived"]["grid_step"]
    for plw, w_p in PRINTED["derived"]["w_p"].items():
        assert round(w_p / step, 9) % 1 == 0
        assert round(from_w_p(w_p), 3) == plw
        # no neighbour on the grid prints the same, so the reading is not an accident of rounding
        assert all(round(from_w_p(w_p + change), 3) != plw for change in (-step, step))


def test_on_a_grid_of_the_weight_itself_the_printed_optima_would_not_be_evenly_spaced():
    found = sorted({value for cells in PRINTED["rows"].values() for value, starred in cells if not starred})
    steps = [to_w_p(value) * 100 for value in found]
    assert all(abs(step - round(step)) < 0.1 for step in steps)
    assert sum(abs(value * 100 - round(value * 100)) < 0.05 for value in found) < len(found) / 2


def test_the_text_gives_the_number_of_another_column():
    rows = PRINTED["rows"]
    assert rows[1.5][PRINTED["columns"].index("MC")][0] == PRINTED["text"]["at_1_5"]
    assert rows[1.5][PRINTED["columns"].index("All")][0] != PRINTED["text"]["at_1_5"]
    assert rows[0.5][0][0] == rows[1.0][0][0] == PRINTED["text"]["small_ratios"]


# ---- table 5


def test_each_optimum_stands_with_star_interval_and_the_papers_beside_it():
    table = table_5(gam(All=fit(), MC=fit()), DATASETS, PRINTED)
    text = to_markdown(table)
    assert "| 8.0† | 0.155* [0.100, 0.477] | – | 1.000* |" in text
    assert "| 0.5 | 0.155 [0.100, 0.477] | – | 0.155 |" in text
    assert "Gen is not fitted: only 2 different ratios" in text
    assert "58 of 60 runs" in text
    assert "Without AlpacaDataTiny" in text
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert float(rows[1]["all_plw"]) == pytest.approx(0.155, abs=5e-4)
    assert (rows[0]["all_starred"], rows[0]["extrapolated"], rows[0]["gen_plw"]) == ("True", "True", "")
    assert float(rows[1]["gen_paper"]) == 0.292
    assert "R\\_g" in to_latex(table)


def test_data_sets_that_were_left_out_are_named_with_the_reason():
    content = gam(All=fit()) | {"left_out": [{"dataset": "medium", "reason": "no scores"}]}
    assert "Medium is left out: no scores." in to_markdown(table_5(content, DATASETS, PRINTED))
    assert "without Medium: no scores" in note_of(content, DATASETS)


# ---- figure 10


def test_the_figures_data_holds_surface_and_optimum_of_each_fit():
    data = figure_data(gam(All=fit(), Gen=fit()))
    assert set(data["fit"]) == {"All", "Gen"}
    assert data["kind"].value_counts().to_dict() == {"surface": 18, "optimum": 6}
    row = data[(data["kind"] == "surface") & (data["w_p"] == 0.5) & (data["r_g"] == 0.0)].iloc[0]
    assert row["value"] == 0.3
    assert row["plw"] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fits", [{"All": fit(), "MC": fit()}, {}])
def test_a_panel_without_a_fit_says_why(fits):
    content = gam(**fits)
    figure = draw(figure_data(content), gam=content, datasets=DATASETS, style=style_with(None))
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sum("only 2 different ratios" in text for text in words) == 3 - len(fits)


@pytest.mark.slow
def test_both_programs_write_their_files(tmp_path):
    content = gam(All=fit(), MC=fit(), Gen=fit())
    (tmp_path / "gam.json").write_text(json.dumps(content))
    common = ["--gam", str(tmp_path / "gam.json"), "--datasets", json.dumps(DATASETS)]
    files = {name: str(tmp_path / f"out.{name}") for name in ("csv", "md", "tex", "pdf", "png")}
    make_table_5.main([*common, "--paper-numbers", str(ROOT / "config" / "paper_numbers.yaml"),
                       *(part for name in ("csv", "md", "tex") for part in (f"--{name}", files[name]))])  # fmt: skip
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3
    draw_figure_10.main([*common, *(part for name in ("pdf", "png", "csv") for part in (f"--{name}", files[name]))])
    assert (tmp_path / "out.png").stat().st_size > 10_000
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 3 * 12


def test_a_label_of_several_lines_is_one_cell():
    from plw.tables.table import Column, Table

    table = Table("T", (Column("name", lambda row: row["name"], ("name",)),), [{"name": "two\nlines"}])
    assert "| two lines |" in to_markdown(table)
    assert r"two lines \\" in to_latex(table)
