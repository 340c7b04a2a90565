"""What is installed, what is missing, and how to get it."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

# Distribution name → what needs it.
PACKAGES = {
    "snakemake": "the workflow",
    "snakemake-executor-plugin-slurm": "--profile slurm",
    "torch": "training and evaluation",
    "transformers": "training and evaluation",
    "datasets": "data sets from the Hub",
    "deepspeed": "ZeRO (training.zero_stage)",
    "lm-eval": "eleven benchmarks",
    "alpaca-eval": "AlpacaEval 1",
    "sacrebleu": "corpus BLEU",
    "rpy2-rinterface": "statistics",
    "rpy2-robjects": "statistics",
    "pandas": "score tables",
    "matplotlib": "figures",
}
R_PACKAGES = {
    "glmmTMB": "Table 3",
    "mgcv": "Table 5",
    "car": "Table 3's p-values",
    "DHARMa": "residual tests (optional)",
}
OPTIONAL = {"DHARMa"}


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report: `version` is None where the thing is missing; `remedy` says how to get it."""

    name: str
    version: str | None
    used_for: str
    remedy: str = ""
    optional: bool = False


def python_findings() -> list[Finding]:
    """Python itself and the packages that the workflow uses."""
    found = [Finding("Python", platform.python_version(), f"everything ({sys.executable})")]
    for name, use in PACKAGES.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        found.append(Finding(name, version, use, "make setup"))
    return found


def _output(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def r_findings() -> list[Finding]:
    """R, its home, and the R packages; asked of the Rscript that is first in PATH."""
    remedy = "make setup (Debian and Ubuntu as root), or conda env create -f envs/statistics.yaml"
    home = _output("R", "RHOME")
    version = _output("Rscript", "--vanilla", "-e", "cat(as.character(getRversion()))")
    found = [Finding("R", version, f"statistics (home {home})" if home else "statistics", remedy)]
    other = os.environ.get("R_HOME")
    if other and home and os.path.realpath(other) != os.path.realpath(home):
        hint = f"R_HOME is {other}, the R in PATH has {home}: unset R_HOME or change PATH"
        found.append(Finding("R_HOME", None, "rpy2 loads the R that R_HOME names", hint))
    for name, use in R_PACKAGES.items():
        code = f'cat(tryCatch(as.character(packageVersion("{name}")), error = function(e) ""))'
        version = _output("Rscript", "--vanilla", "-e", code) or None
        how = (
            "conda-forge r-dharma; without it the same tests are made from simulations" if name == "DHARMa" else remedy
        )
        found.append(Finding(f"R: {name}", version, use, how, optional=name in OPTIONAL))
    return found


def device_findings() -> list[Finding]:
    """Processors, GPUs and the compiler that DeepSpeed's first start needs."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    compiler = _output("g++", "-dumpfullversion")
    # Without a slurm.conf its programs cannot even say their version: installed, but this is no node of a cluster.
    slurm = _output("sbatch", "--version") or ("no cluster" if shutil.which("sbatch") else None)
    return [
        Finding("CPU cores", str(len(os.sched_getaffinity(0))), "everything"),
        Finding("GPUs", ", ".join(gpus) or None, "studies smol and paper", "none is needed for demo", optional=True),
        Finding("g++", compiler, "DeepSpeed compiles one operator", "apt-get install g++"),
        Finding("Slurm", slurm, "--profile slurm", "run on a cluster's login node", optional=True),
    ]


def missing(findings: list[Finding]) -> list[Finding]:
    """The findings without which the default study cannot run."""
    return [finding for finding in findings if finding.version is None and not finding.optional]


def as_text(findings: list[Finding]) -> str:
    """The report as aligned lines."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        state = finding.version or ("not found" if finding.optional else "MISSING")
        remedy = f"  → {finding.remedy}" if finding.version is None and finding.remedy else ""
        lines.append(f"{finding.name:<{width}}  {state:<14}  {finding.used_for}{remedy}")
    return "\n".join(lines)
