"""Regression of the relative aggregate on the transformed prompt loss weight (paper §5.2, App. E.3).

The only module that touches R. The models are in glmm.R and residuals.R, which plain `Rscript` runs as well
(run_glmm.R); this module checks the design, hands the data over and reads the answer.
"""

import importlib.util
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from plw.errors import InputError
from plw.scores import add_w_p, relative_scores

R_FILES = tuple(Path(__file__).with_name(name) for name in ("json.R", "glmm.R", "residuals.R"))
R_PROGRAM = Path(__file__).with_name("run_glmm.R")
R_PACKAGES = ("glmmTMB", "car")  # residuals.R adds DHARMa and qgam where they are installed; gam.py needs mgcv

INSTALL_R = (
    "install R with glmmTMB, car and mgcv: on Debian or Ubuntu `apt-get install --no-install-recommends r-base-core"
    " r-cran-glmmtmb r-cran-car r-cran-mgcv`, elsewhere the conda file with R in envs/; then re-install"
    " rpy2-rinterface, built against the R that is there (pip install --force-reinstall --no-cache-dir --no-deps)"
)

DEFAULTS = {
    "squeeze": "smithson_verkuilen",  # protocol: the usual rule; §5.2 does not say how 0 and 1 were treated
    "squeeze_alternatives": ["clamp_0.01", "clamp_0.001"],
    "poly": "raw",  # Table 3's coefficients have the printed vertex only in the raw basis
    "alpha": 0.05,  # §3
    "reduced_models": True,
    "sensitivity": True,
    "simulations": 250,  # DHARMa's default, with its default seed 123
    "seed": 123,
}


def start_r(packages: Sequence[str] | None = None):
    """rpy2's `robjects` with an R process inside this one; starts R at the first call.

    packages  R packages that must be there; R_PACKAGES if not given
    Imported here and not at the head of the module, because the import itself starts R.
    Raises InputError that says what to install when rpy2, R or a package is missing.
    """
    if importlib.util.find_spec("_rinterface_cffi_api") is None:
        os.environ.setdefault("RPY2_CFFI_MODE", "ABI")  # the mode that was built; otherwise rpy2 prints a complaint
    library_path = os.environ.get("LD_LIBRARY_PATH")
    try:
        import rpy2.robjects as robjects
    except Exception as error:  # depending on what is missing: ImportError, OSError, ValueError, RuntimeError
        raise InputError("R cannot be started through rpy2.", value=str(error), hint=INSTALL_R) from error
    finally:
        # R puts the system's libraries first, where a program that this process starts later (another Python) would
        # find the wrong ones. What R itself loads no longer reads the variable.
        if library_path is None:
            os.environ.pop("LD_LIBRARY_PATH", None)
            os.unsetenv("LD_LIBRARY_PATH")
        else:
            os.environ["LD_LIBRARY_PATH"] = library_path
    require = robjects.r["requireNamespace"]
    missing = [name for name in (R_PACKAGES if packages is None else packages) if not require(name, quietly=True)[0]]
    if missing:
        raise InputError(
            f"R packages are missing: {', '.join(missing)}.",
            where=f"R at {robjects.r('R.home()')[0]}",
            hint=INSTALL_R,
        )
    return robjects


def r_functions(files: Sequence[Path] = R_FILES, packages: Sequence[str] | None = None):
    """R environment with the functions of the .R files."""
    robjects = start_r(packages)
    environment = robjects.r("new.env()")
    for path in files:
        robjects.r["sys.source"](str(path), environment)
    return environment


def call_r(
    function: str,
    data: pd.DataFrame,
    *,
    files: Sequence[Path] = R_FILES,
    packages: Sequence[str] | None = None,
    **arguments: object,
) -> object:
    """Call a function of the .R files in this process's R; its list comes back as Python values (NaN: None).

    data       passed as the first argument; columns of floats become doubles, everything else text
    files      .R files with the function and what it uses; packages: see `start_r`
    arguments  further arguments; a list of numbers becomes a vector of doubles, any other list one of texts
    Raises InputError with R's own message when the call fails.
    """
    robjects = start_r(packages)
    functions = r_functions(files, packages)
    columns = {
        name: robjects.FloatVector(column.tolist())
        if pd.api.types.is_float_dtype(column)
        else robjects.StrVector([str(item) for item in column])
        for name, column in data.items()
    }
    settings = {key: _r_vector(item, robjects) for key, item in arguments.items()}
    try:
        answer = functions[function](robjects.DataFrame(columns), **settings)
        return json.loads(functions["to_json"](answer)[0])
    except robjects.rinterface.embedded.RRuntimeError as error:
        raise InputError(f"R stopped in {function}().", value=str(error).strip()) from None


def _r_vector(item: object, robjects) -> object:
    if not isinstance(item, list | tuple):
        return item
    numbers = bool(item) and all(isinstance(value, int | float) for value in item)
    return robjects.FloatVector(item) if numbers else robjects.StrVector(list(map(str, item)))


def call_rscript(data: pd.DataFrame, **arguments: object) -> object:
    """The analysis of `call_r("analyse_scores", …)` in a separate Rscript, for where rpy2 cannot load R."""
    with tempfile.TemporaryDirectory() as folder:
        table, result = Path(folder, "scores.csv"), Path(folder, "result.json")
        data.to_csv(table, index=False, float_format="%.17g")
        settings = [f"{key}={_setting_text(item)}" for key, item in arguments.items()]
        try:
            finished = subprocess.run(
                ["Rscript", str(R_PROGRAM), str(table), str(result), *settings],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise InputError("Rscript is not on the PATH.", hint=INSTALL_R) from None
        if finished.returncode:
            raise InputError("Rscript stopped.", value=finished.stderr.strip()[-2000:], hint=INSTALL_R)
        return json.loads(result.read_text(encoding="utf-8"))


def _setting_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def design_of(frame: pd.DataFrame, *, benchmarks: list[str] | None = None, runs: int | None = None) -> dict:
    """Levels of the design in `frame`, and how many of its rows are there.

    benchmarks  names that the design has; those of the frame if not given
    runs        number of runs that the design has; the cross of ptlm, plw and seed in the frame if not given
    """
    sizes = {name: int(frame[name].nunique()) for name in ("ptlm", "plw", "seed")}
    found = list(frame["benchmark"].unique())
    benchmarks = found if benchmarks is None else benchmarks
    runs = sizes["ptlm"] * sizes["plw"] * sizes["seed"] if runs is None else runs
    return {
        "rows": len(frame),
        "expected_rows": runs * len(benchmarks),
        "complete": len(frame) == runs * len(benchmarks),
        "benchmarks": len(found),
        "missing_benchmarks": [name for name in benchmarks if name not in found],
        "ptlms": sizes["ptlm"],
        "plws": sizes["plw"],
        "seeds": sizes["seed"],
    }


def check_design(frame: pd.DataFrame, design: dict, *, dataset: str, allow_partial: bool) -> None:
    """InputError where the model cannot be fitted, or where rows are missing and that is not allowed."""
    where = f"scores of data set {dataset!r}"
    if frame.empty:
        raise InputError("There are no scores to fit.", where=where, hint="Run or supply scores of this data set.")
    if design["plws"] < 3:
        raise InputError(
            "A parabola in w_p needs at least three different PLWs.",
            value=sorted(frame["plw"].unique().tolist()),
            where=where,
        )
    if design["rows"] < 10:  # the paper's model has eight parameters
        raise InputError("Too few rows for the mixed model.", value=design["rows"], where=where, hint="At least 10.")
    if not design["complete"] and not allow_partial:
        raise InputError(
            f"Only {design['rows']} of {design['expected_rows']} rows of the design are there.",
            value=[f"no scores of {name}" for name in design["missing_benchmarks"]] or None,
            where=where,
            hint="Make the missing runs (missing.json lists them), or set allow_partial to fit the rest.",
        )


def regression_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that R fits: relative score, w_p, benchmark, ptlm and seed, in a fixed order.

    frame  one data set's primary scores; min-max scaled per benchmark over all ptlms (§5.2)
    """
    frame = add_w_p(relative_scores(frame)).sort_values(["benchmark", "ptlm", "seed", "plw"])
    rows = frame[["relative", "w_p", "benchmark", "ptlm", "seed"]].rename(columns={"relative": "score"})
    return rows.astype({"score": float, "w_p": float, "benchmark": str, "ptlm": str, "seed": str})


def constant_benchmarks(frame: pd.DataFrame) -> list[str]:
    """Benchmarks on which all runs score the same: 0.5 after min-max scaling, and silent about w_p."""
    spread = frame.groupby("benchmark", sort=False)["score"].agg(lambda scores: scores.max() - scores.min())
    return list(spread.index[spread == 0])


def fit_dataset(
    frame: pd.DataFrame,
    *,
    dataset: str,
    settings: dict | None = None,
    benchmarks: list[str] | None = None,
    runs: int | None = None,
    allow_partial: bool = False,
    engine: str = "rpy2",
) -> dict:
    """Mixed model, sensitivity fits and residual tests of one data set.

    frame     primary scores of the data set, one row per run and benchmark
    settings  changes to DEFAULTS
    benchmarks, runs  what a complete design has, see `design_of`
    engine    rpy2 | rscript; the numbers are the same
    Returns the JSON-able content of regression/DATASET.json. A p-value never stands alone: each fit carries
    `converged`, the optimiser's messages and the captured warnings.
    """
    settings = {**DEFAULTS, **(settings or {})}
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError("Unknown settings of the regression.", value=unknown, hint=f"Known: {', '.join(DEFAULTS)}")
    design = design_of(frame, benchmarks=benchmarks, runs=runs)
    check_design(frame, design, dataset=dataset, allow_partial=allow_partial)
    rows = regression_rows(frame)
    answer = call_rscript(rows, **settings) if engine == "rscript" else call_r("analyse_scores", rows, **settings)
    fit = answer["fit"]
    test = fit.get("test", {}).get("wald", {})
    return {
        "dataset": dataset,
        "model": "score ~ poly(w_p, 2) + (0 + poly(w_p, 2) | benchmark) + (1 | ptlm), beta family, logit",
        "response": "relative aggregate: min-max per benchmark, ptlms pooled",
        "settings": settings,
        "design": design,
        "constant_benchmarks": constant_benchmarks(frame),
        "zeros": int((rows["score"] == 0).sum()),
        "ones": int((rows["score"] == 1).sum()),
        "converged": fit["converged"],
        "significant": bool(test.get("p") is not None and test["p"] < settings["alpha"]),
        **answer,
        "engine": engine,
    }
