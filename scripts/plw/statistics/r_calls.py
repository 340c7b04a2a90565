"""R in this process through rpy2, or in a separate Rscript: the only module that starts it.

The models are in the .R files beside this module, which plain `Rscript` runs as well (run_glmm.R).
"""

import importlib.util
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from plw.errors import InputError

R_FILES = tuple(Path(__file__).with_name(name) for name in ("json.R", "glmm.R", "residuals.R"))
R_PROGRAM = Path(__file__).with_name("run_glmm.R")
R_PACKAGES = ("glmmTMB", "car")  # residuals.R adds DHARMa and qgam where they are installed; gam.py needs mgcv

INSTALL_R = (
    "install R with glmmTMB, car and mgcv: on Debian or Ubuntu `apt-get install --no-install-recommends r-base-core"
    " r-cran-glmmtmb r-cran-car r-cran-mgcv`, elsewhere the conda file with R in envs/; then re-install"
    " rpy2-rinterface, built against the R that is there (pip install --force-reinstall --no-cache-dir --no-deps)"
)


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
        # Without anybody's start-up files, environment files and saved workspace, which can hold a decimal comma,
        # another folder or other packages. Where R's packages are, R_LIBS says.
        from rpy2.rinterface_lib import embedded

        if not embedded.isinitialized():
            options: tuple[Any, ...] = ("rpy2", "--quiet", "--vanilla")
            embedded.set_initoptions(options)
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
) -> Any:
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


def call_rscript(data: pd.DataFrame, **arguments: object) -> Any:
    """The analysis of `call_r("analyse_scores", …)` in a separate Rscript, for where rpy2 cannot load R."""
    with tempfile.TemporaryDirectory() as folder:
        table, result = Path(folder, "scores.csv"), Path(folder, "result.json")
        data.to_csv(table, index=False, float_format="%.17g")
        settings = [f"{key}={_setting_text(item)}" for key, item in arguments.items()]
        try:
            finished = subprocess.run(
                ["Rscript", "--vanilla", str(R_PROGRAM), str(table), str(result), *settings],
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
