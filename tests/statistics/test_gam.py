"""The GAMs of App. D: equal to a plain mgcv fit, right on a surface that is known, honest where there is none."""

import json
import subprocess

import fit_gam as program
import numpy as np
import pandas as pd
import pytest
from plw.errors import InputError
from plw.scores.transform import from_w_p, to_w_p
from plw.statistics import gam
from plw.statistics.gam import fit_gams, fit_members, gam_rows, gam_scores, ratio_levels
from simulated_scores import PLWS

LEVELS = {"tiny": 0.042, "short": 0.082, "medium": 1.0, "plain": 3.27, "cleaned": 7.83}  # App. D
ROLES = {"tiny": "AlpacaDataTiny", "short": "AlpacaDataShort", "medium": "AlpacaDataMedium", "plain": "AlpacaData",
         "cleaned": "AlpacaDataCleaned"}  # fmt: skip
DATASETS = [{"name": name, "label": name.title(), "stands_for": role} for name, role in ROLES.items()]
KINDS = [("MC", "I"), ("MC", "II"), ("GS", "I"), ("GL", "II"), ("GS", "III")]
BENCHMARKS = [{"name": f"b{i}", "metric": "acc", "type": kind, "group": group} for i, (kind, group) in enumerate(KINDS)]

# Independent of gam.R: the paper's formula and mgcv's own prediction of the term.
PLAIN_R = r"""
d <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = TRUE)
library(mgcv)
m <- gam(score ~ te(w_p, r, k = 3) + factor(benchmark), data = d)
for (ratio in c(0.5, 2, 8)) {
  term <- predict(m, data.frame(w_p = seq(0, 1, 0.01), r = ratio, benchmark = d$benchmark[1]), type = "terms")
  term <- term[, "te(w_p,r)"]
  cat(sprintf("%.17g", c(max(term), diff(range(term)), which.max(term))), sep = "\n")
}
cat(sprintf("%.17g", c(coef(m)[grepl("^te", names(coef(m)))], sum(m$edf), summary(m)$dev.expl)), sep = "\n")
"""


def optimum(r_g: float) -> float:
    """w_p of the maximum of the surface that `surface_scores` draws from: 0.5 for small ratios, 0.8 at the largest."""
    return 0.5 + 0.3 * r_g / 7.83


def surface_scores(*, noise: float = 0.01, seed: int = 1, depth=lambda r_g: 0.3, levels=LEVELS) -> pd.DataFrame:
    """Scores whose curve in w_p is a parabola around `optimum`, `depth` deep."""
    rng = np.random.default_rng(seed)
    rows = []
    for dataset, r_g in levels.items():
        for ptlm in ("weak", "strong"):
            for plw in PLWS:
                curve = -depth(r_g) * (to_w_p(plw) - optimum(r_g)) ** 2
                run = {"run": f"{ptlm}-{dataset}-{plw:g}", "ptlm": ptlm, "dataset": dataset, "plw": plw,
                       "normalization": "n", "regularizer": "none", "strength": 0.0, "seed": 42}  # fmt: skip
                rows += [
                    {**run, "benchmark": e["name"], "metric": "acc", "score": 0.5 + curve + rng.normal(0, noise),
                     "stderr": 0.01, "n": 100}
                    for e in BENCHMARKS
                ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fitted() -> dict:
    return fit_gams(surface_scores(), levels=LEVELS, benchmarks=BENCHMARKS, settings={"samples": 500})


# ---- numbers


@pytest.mark.r
@pytest.mark.slow
def test_smooth_and_optima_equal_an_independent_rscript_fit(tmp_path):
    frame = surface_scores(noise=0.05)
    rows = gam_rows(frame, LEVELS)
    rows.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    (tmp_path / "plain.R").write_text(PLAIN_R)
    command = ["Rscript", str(tmp_path / "plain.R"), str(tmp_path / "rows.csv")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = [float(line) for line in answer.split()]
    fit = fit_gams(frame, levels=LEVELS, benchmarks=BENCHMARKS, settings={"samples": 10})["fits"]["All"]["w_p"]
    rows_at = {row["r_g"]: row for row in fit["rows"]}
    ours = []
    for r_g in (0.5, 2.0, 8.0):
        row = rows_at[r_g]
        ours += [row["value"], row["range"], 1 + round(row["w_p"] * 100)]
    ours += [*fit["coefficients"], fit["edf"], fit["deviance_explained"]]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.r
def test_the_optimum_of_a_known_surface_is_found_with_an_interval_around_it(fitted):
    rows = fitted["fits"]["All"]["w_p"]["rows"]
    inside = [row for row in rows if not row["extrapolated"]]
    assert [row["r_g"] for row in rows if row["extrapolated"]] == [8.0]
    for row in inside:
        assert row["w_p"] == pytest.approx(optimum(row["r_g"]), abs=0.06)
        assert row["low_w_p"] <= row["w_p"] <= row["high_w_p"]
        assert row["plw"] == pytest.approx(from_w_p(row["w_p"]))
        assert not row["starred"]


@pytest.mark.r
def test_a_surface_that_is_flat_for_long_completions_gets_its_stars_there_and_only_there():
    frame = surface_scores(noise=0.0, depth=lambda r_g: 0.3 if r_g < 2 else 0.0)
    with pytest.warns(UserWarning, match="constant"):
        fits = fit_gams(frame, levels=LEVELS, benchmarks=BENCHMARKS, settings={"samples": 50})["fits"]
    rows = {row["r_g"]: row for row in fits["All"]["w_p"]["with_constant"]["rows"]}
    for row in rows.values():
        assert row["range_share"] == pytest.approx(row["range"])  # relative scores span 0 to 1
        assert row["starred"] == (row["range"] < 0.05)
    assert not rows[0.5]["starred"]
    assert any(rows[r_g]["starred"] for r_g in (6.5, 7.0, 7.5))


@pytest.mark.r
def test_by_reml_a_straight_line_is_not_taken_for_certain():
    """Where GCV chooses a straight line all its draws have their maximum at a border."""
    frame = surface_scores(noise=0.3, depth=lambda r_g: 0.0, seed=4)
    frame["score"] += 0.08 * frame["plw"]
    fit = fit_gams(frame, levels=LEVELS, benchmarks=BENCHMARKS[:3], settings={"samples": 300})["fits"]["All"]["w_p"]
    width = {name: np.mean([row["high_w_p"] - row["low_w_p"] for row in found["rows"]])
             for name, found in (("gcv", fit), ("reml", fit["reml"]))}  # fmt: skip
    assert fit["reml"]["covariance"] == "Vc" and fit["covariance"] == "Vp"
    assert width["reml"] > width["gcv"]
    assert "grid" not in fit["reml"] and len(fit["reml"]["rows"]) == 16


@pytest.mark.r
def test_a_benchmark_that_is_constant_on_a_data_set_is_left_out_there_and_a_fit_beside_has_it_in():
    frame = surface_scores()
    frame.loc[(frame["benchmark"] == "b0") & (frame["dataset"] == "short"), "score"] = 0.7
    with pytest.warns(UserWarning, match="constant"):
        fits = fit_gams(frame, levels=LEVELS, benchmarks=BENCHMARKS, settings={"samples": 50})["fits"]
    assert fits["All"]["w_p"]["n"] == 480 and fits["All"]["w_p"]["with_constant"]["n"] == 500
    assert "with_constant" not in fits["Gen"]["w_p"]
    ranges = [found["rows"][0]["range"] for found in (fits["MC"]["w_p"], fits["MC"]["w_p"]["with_constant"])]
    assert ranges[0] != pytest.approx(ranges[1])


@pytest.mark.r
def test_both_readings_search_the_same_grid_of_w_p(fitted):
    for fit in fitted["fits"].values():
        for reading in ("w_p", "plw"):
            assert len(fit[reading]["rows"]) == 16
            assert all(round(row["w_p"] * 100, 9) % 1 == 0 for row in fit[reading]["rows"])
            grid = fit[reading]["grid"]
            assert np.shape(grid["value"]) == (len(grid["r_g"]), len(grid["w_p"]))
    assert "te(w, r, k = 3)" in fitted["fits"]["All"]["w_p"]["formula"]
    assert fitted["fits"]["All"]["w_p"]["edf"] != fitted["fits"]["All"]["plw"]["edf"]


@pytest.mark.r
@pytest.mark.slow
def test_intervals_are_the_same_for_the_same_seed_and_narrower_with_less_noise(fitted):
    again, loud = (
        fit_gams(surface_scores(noise=noise), levels=LEVELS, benchmarks=BENCHMARKS, settings={"samples": 500})
        for noise in (0.01, 0.1)
    )
    assert again["fits"]["All"]["w_p"]["rows"] == fitted["fits"]["All"]["w_p"]["rows"]

    def width(result: dict) -> float:
        return np.mean([row["high_w_p"] - row["low_w_p"] for row in result["fits"]["All"]["w_p"]["rows"]])

    assert width(loud) > 1.5 * width(fitted)


@pytest.mark.r
def test_several_seeds_become_a_random_effect_and_a_single_benchmark_no_factor():
    frame = surface_scores()
    both = pd.concat([frame, surface_scores(seed=2).assign(seed=43, run=lambda f: f["run"] + "-43")])
    fits = fit_gams(both, levels=LEVELS, benchmarks=BENCHMARKS[:1], settings={"samples": 10})["fits"]
    assert fits["MC"]["w_p"]["formula"] == 'score ~ te(w, r, k = 3) + s(seed, bs = "re")'


# ---- what is fitted


def test_the_three_fits_have_the_benchmarks_of_appendix_d():
    members = fit_members(BENCHMARKS)
    assert members == {"All": ["b0", "b1", "b2", "b3", "b4"], "MC": ["b0", "b1"], "Gen": ["b2", "b3"]}


def test_two_ratios_or_two_weights_are_too_few_and_that_is_said():
    two = {name: LEVELS[name] for name in ("short", "plain")}
    fits = fit_gams(surface_scores(levels=two), levels=two, benchmarks=BENCHMARKS)["fits"]
    assert "only 2 different ratios" in fits["All"]["w_p"]["reason"]
    assert fits["All"]["w_p"]["rows"] == []
    frame = surface_scores()
    fits = fit_gams(frame[frame["plw"].isin([0.0, 1.0])], levels=LEVELS, benchmarks=BENCHMARKS)["fits"]
    assert "only 2 different PLWs" in fits["MC"]["plw"]["reason"]


def test_a_fit_without_any_of_its_benchmarks_says_so():
    frame = surface_scores()
    fits = fit_gams(frame[frame["benchmark"] == "b4"][:0], levels=LEVELS, benchmarks=BENCHMARKS)["fits"]
    assert fits["Gen"]["w_p"]["reason"] == "no scores of these benchmarks"
    assert fits["Gen"]["missing_benchmarks"] == ["b2", "b3"]


def test_regularized_runs_are_never_pooled_and_two_normalizations_are_refused():
    frame = surface_scores()
    extra = frame[frame["dataset"] == "short"].assign(run=lambda f: f["run"] + "-x")
    kept, design = gam_scores(pd.concat([frame, extra.assign(regularizer="dropout")]), None, LEVELS)
    assert set(kept["run"]) == set(frame["run"])
    assert design["runs"] == 100
    with pytest.raises(InputError, match="normalizations"):
        gam_scores(pd.concat([frame, extra.assign(normalization="sum_of_weights")]), None, LEVELS)


def test_runs_of_other_experiments_are_left_out_and_missing_ones_counted():
    frame = surface_scores()
    runs = frame.drop_duplicates("run")[["run", "dataset", "regularizer"]]
    kept, design = gam_scores(frame[frame["run"] != "weak-tiny-1"], runs.iloc[:60], LEVELS)
    assert set(kept["run"]) == set(runs["run"].iloc[:60]) - {"weak-tiny-1"}
    assert (design["runs"], design["runs_planned"]) == (59, 60)


def test_ratios_come_from_the_statistics_unless_they_are_given():
    statistics = {name: {"r_g": {"ratio_of_mean_tokens": value}} for name, value in LEVELS.items() if name != "tiny"}
    datasets = [*DATASETS, {"name": "mine"}]
    levels, sources, left_out = ratio_levels(datasets, statistics, {"plain": 3.0})
    assert levels == {**{k: v for k, v in LEVELS.items() if k != "tiny"}, "plain": 3.0}
    assert sources["plain"] == "given"
    assert [entry["dataset"] for entry in left_out] == ["tiny"]
    with pytest.raises(InputError, match="positive"):
        ratio_levels(DATASETS, {}, {"plain": -1})


def test_an_unknown_setting_and_a_grid_that_does_not_end_at_one_are_refused():
    with pytest.raises(InputError, match="sample"):
        fit_gams(surface_scores(), levels=LEVELS, benchmarks=BENCHMARKS, settings={"sample": 3})
    with pytest.raises(InputError, match="step"):
        gam._weights(0.03)


# ---- the program


@pytest.mark.r
def test_the_program_writes_levels_sources_and_fits(tmp_path):
    surface_scores().to_csv(tmp_path / "scores.csv", index=False)
    runs = surface_scores().drop_duplicates("run")
    experiments = runs["dataset"].map(lambda name: "ratios" if name in ("tiny", "medium") else "main;losses")
    runs.assign(experiments=experiments).to_csv(tmp_path / "runs.csv", index=False)
    program.main(
        ["--scores", str(tmp_path / "scores.csv"), "--runs", str(tmp_path / "runs.csv"),
         "--benchmarks", json.dumps(BENCHMARKS), "--datasets", json.dumps(DATASETS), "--ratios", json.dumps(LEVELS),
         "--settings", json.dumps({"samples": 20}), "--out", str(tmp_path / "gam.json")]
    )  # fmt: skip
    result = json.loads((tmp_path / "gam.json").read_text())
    assert result["levels"] == LEVELS
    assert set(result["r_g_source"].values()) == {"given"}
    assert result["design"]["runs_planned"] == 100
    assert result["fits"]["All"]["w_p"]["n"] == 500
    assert result["covariate"] == "w_p"
