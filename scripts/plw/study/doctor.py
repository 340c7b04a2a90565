"""What is installed, what is missing, and how to get it."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


def _output(*command: str, seconds: float = 60) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:  # a driver that hangs must not hang the doctor
        return None
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
    return [
        Finding("CPU cores", str(len(os.sched_getaffinity(0))), "everything"),
        Finding("GPUs", ", ".join(gpus) or None, "studies smol and paper", "none is needed for demo", optional=True),
        Finding("g++", compiler, "DeepSpeed compiles one operator", "apt-get install g++"),
        slurm_finding(),
    ]


def slurm_finding() -> Finding:
    """Whether Slurm's controller answers, asked as the executor plugin asks at every start of Snakemake."""
    name, use = "Slurm", "--profile slurm"
    if shutil.which("sbatch") is None:
        return Finding(name, None, use, "run on a cluster's login node", optional=True)
    if _output("scontrol", "show", "config", seconds=10) is None:
        hint = "its programs are here and no controller answers; each start of Snakemake waits for one: "
        return Finding(name, None, use, f"{hint}export SLURM_CONF=/dev/null", optional=True)
    return Finding(name, _output("sbatch", "--version"), use)


def cuda_finding(smi: str | None, built: str | None) -> Finding:
    """Whether torch's build fits the driver.

    smi    what nvidia-smi prints, None where there is none; its head names the newest CUDA that the driver runs
    built  torch.version.cuda, None for a CPU build
    Within a major version of CUDA an older driver runs newer builds; a build of a newer major version it refuses.
    """
    name, use = "torch for CUDA", "GPUs"
    driver = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", smi or "")
    if driver is None:
        return Finding(name, f"{built or 'CPU'} build", f"{use}; nvidia-smi names no driver here", optional=True)
    newest = f"{driver[1]}.{driver[2]}"
    choose = f'rm -r .venv; make setup TORCH_ARGS="…" with a build for CUDA {newest} or older (docs/cluster.md)'
    if built is None:
        return Finding(name, None, f"{use}: torch is a CPU build, the driver runs CUDA {newest}", choose)
    if int(built.partition(".")[0]) > int(driver[1]):
        return Finding(name, None, f"{use}: torch is built for CUDA {built}, the driver runs {newest}", choose)
    return Finding(name, built, f"{use}; the driver runs CUDA up to {newest}")


def token_finding(environment: Mapping[str, str], home: Path) -> Finding:
    """Whether there is a token of the Hugging Face Hub; where it is from, never what it is."""
    place = None
    if environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        place = "environment"
    else:
        cache = Path(environment.get("HF_HOME") or home / ".cache/huggingface")
        file = Path(environment.get("HF_TOKEN_PATH") or cache / "token")
        place = "file" if file.is_file() and file.stat().st_size else None
    remedy = "hf auth login, on the node that fetches"
    return Finding("Hub token", place and f"from {place}", "gated models (LLaMA 2 and 3)", remedy, optional=True)


def space_finding(name: str, folder: Path, *, least: float, use: str, remedy: str, optional: bool = False) -> Finding:
    """Free bytes of the file system of `folder`, which need not exist yet; missing below `least` bytes."""
    place = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    if place is None:
        return Finding(name, None, use, remedy, optional=True)
    free = shutil.disk_usage(place).free
    shown = f"{free / 1e9:,.1f} GB free"
    if free < least:
        return Finding(name, None, use, f"{shown}, {least / 1e9:g} GB are needed: {remedy}", optional)
    return Finding(name, shown, use)


def vllm_finding(interpreter: str | None) -> Finding:
    """Whether vLLM can be imported by the interpreter that judges with it (it has an environment of its own)."""
    use = "AlpacaEval's judge by vLLM"
    if interpreter is None:
        return Finding("vLLM", None, use, "plw doctor --vllm-python INTERPRETER looks into its environment", True)
    version = _output(interpreter, "-c", "import vllm; print(vllm.__version__)", seconds=300)
    # Its last line: importing vLLM may print others before.
    found = version.splitlines()[-1] if version else None
    return Finding("vLLM", found, f"{use} ({interpreter})", f"{interpreter} -c 'import vllm' says why")


def cluster_findings(root: Path, vllm_python: str | None = None) -> list[Finding]:
    """What a study on GPUs needs beyond the default one: torch's build, vLLM, token, disk, shared memory.

    root  the project's folder, below which the results go
    """
    import torch

    home = Path.home()
    cache = Path(os.environ.get("HF_HOME") or home / ".cache/huggingface")
    return [
        cuda_finding(_output("nvidia-smi"), torch.version.cuda),
        vllm_finding(vllm_python),
        token_finding(os.environ, home),
        space_finding(
            "Disk: results", root / "results", least=2e9, use="results; a dry run says how much", remedy="free some"
        ),
        space_finding(
            "Disk: Hub cache",
            cache,
            least=2e9,
            # Two bytes for each weight of the paper's three models and two judges, PandaLM's a second time converted.
            use="models and data (paper: about 165 GB)",
            remedy="set HF_HOME to a larger file system",
            optional=True,
        ),
        space_finding(
            "Shared memory",
            Path("/dev/shm"),
            least=1e9,
            use="several GPUs (NCCL), vLLM",
            remedy="in a container: --shm-size=16g or --ipc=host",
            optional=True,
        ),
    ]


def missing(findings: list[Finding]) -> list[Finding]:
    """The findings without which the default study cannot run."""
    return [finding for finding in findings if finding.version is None and not finding.optional]


def as_text(findings: list[Finding]) -> str:
    """The report as aligned lines."""
    names = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        state = finding.version or ("not found" if finding.optional else "MISSING")
        remedy = f"  → {finding.remedy}" if finding.version is None and finding.remedy else ""
        lines.append(f"{finding.name:<{names}}  {state:<16}  {finding.used_for}{remedy}")
    return "\n".join(lines)
