"""What of the shell's environment a program keeps: the one place that decides, with the reason for each variable.

A result must not depend on the shell that started it. Libraries read dozens of variables; this module takes away or
sets those that change a result or stop a program, and leaves everything else alone: where things are (PATH, HOME,
HF_HOME, R_LIBS, LD_LIBRARY_PATH), which hardware to use (CUDA_VISIBLE_DEVICES, NCCL_*, SLURM_*), secrets (HF_TOKEN).

`closed` only computes; `plw.program` acts, at the head of every program, and the workflow does for its shells. Programs
pay for what is imported here before they know whether they need it: what few of them use is imported where it is used.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

# torchrun's own variables; only a process that torchrun started may have them.
RANKS = (
    "RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|GROUP_RANK|GROUP_WORLD_SIZE|ROLE_RANK|ROLE_WORLD_SIZE|ROLE_NAME"
    "|MASTER_ADDR|MASTER_PORT|TORCHELASTIC_.*"
)
TORCHRUN = "torch.distributed.run"
FORKED = "PLW_FORKED"  # "PROCESS MODULE", set where `plw.preload` runs a module: its command line is the server's
TAKEN_AWAY = {  # patterns of whole names, and why
    "ACCELERATE_.*|FSDP_.*|MIXED_PRECISION": "accelerate takes precision and sharding from them",
    "DEEPSPEED_.*|DS_(?!ACCELERATOR|BUILD_).*": "DeepSpeed's settings come from the study",
    "PET_.*": "torchrun takes them for its own flags",
    "TORCH_ALLOW_TF32.*|NVIDIA_TF32_OVERRIDE|(ONE)?DNNL_DEFAULT_FPMATH_MODE|MKL_CBWR": "they round sums differently",
    "TORCHDYNAMO_.*|TORCHINDUCTOR_.*|TORCH_COMPILE.*|TORCH_LOGS|PYTORCH_JIT.*": "they compile or trace unasked",
    "TORCH_FORCE_(NO_)?WEIGHTS_ONLY_LOAD|HF_DATASETS_TRUST_REMOTE_CODE": "no code of a model or data set runs",
    "MATPLOTLIBRC|MPLSTYLE": "figures are drawn from the study's style alone",
    "R_DEFAULT_PACKAGES|R_DATATABLE.*": "R starts with its own packages and threads",
    "R_ENVIRON|R_ENVIRON_USER|R_PROFILE|R_PROFILE_USER": "R starts without anybody's start-up files",
    "LANG|LANGUAGE|LC_.*": "one locale for sorting, numbers and messages: LC_ALL below",
    "PYTHON(OPTIMIZE|WARNINGS|DEVMODE|INSPECT|IOENCODING|HOME|STARTUP|CASEOK|INTMAXSTRDIGITS|LEGACY.*|ASYNCIODEBUG"
    "|VERBOSE|TRACEMALLOC|DEBUG|PROFILEIMPORTTIME|BREAKPOINT|COERCECLOCALE)": (
        "they change how Python reads, checks or encodes"
    ),
    "TQDM_(?!DISABLE).*": "progress bars go to terminals only",
}
SET = {  # variable: value and why
    "MPLBACKEND": ("agg", "figures go to files; a notebook's backend cannot be loaded here"),
    "LC_ALL": (
        "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8",
        "UTF-8, points in numbers, sorted by code",
    ),
    "PYTHONUTF8": ("1", "files and pipes are UTF-8 whatever the locale says"),
}
# Without a home that can be written, the places in which libraries insist on keeping something.
CACHES = {
    "XDG_CACHE_HOME": "",
    "MPLCONFIGDIR": "matplotlib",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "HF_DATASETS_CACHE": "datasets",
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def closed(
    environment: Mapping[str, str], *, threads: int | None = None, torchrun: bool = False, home: bool = True
) -> dict[str, str]:
    """The environment that a program runs in; closing it again changes nothing.

    threads   of the process, where it was told: the pools of OpenMP (also PyTorch's backward pass), MKL, OpenBLAS and
              the tokenizers read theirs before any of our code runs
    torchrun  whether torchrun started this process: then its variables stay
    home      whether the home folder can be written
    """
    away = "|".join((*TAKEN_AWAY, *(() if torchrun else (RANKS,))))
    kept = {name: value for name, value in environment.items() if not re.fullmatch(away, name)}
    kept |= {name: value for name, (value, _) in SET.items()}
    if threads:
        kept |= dict.fromkeys(THREADS, str(threads))
    if not home:
        folder = os.path.join(temporary_folder(), f"plw-home-{os.getuid()}")
        caches = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", "/"), ".cache")
        if os.path.isdir(cache := os.path.join(caches, "huggingface")):
            kept.setdefault("HF_HOME", cache)  # models fetched earlier stay where they are: they need only be read
        kept |= {name: os.path.join(folder, part).rstrip("/") for name, part in CACHES.items() if name not in kept}
    return kept


def shell_commands(environment: Mapping[str, str]) -> str:
    """Shell commands that close off `environment`, for a shell that starts programs: "unset A B; export C=d; "."""
    import shlex

    wanted = closed(environment, home=home_writable(environment))
    away = sorted(name for name in environment if name not in wanted and name.isidentifier())
    new = [f"{name}={shlex.quote(value)}" for name, value in wanted.items() if environment.get(name) != value]
    return (f"unset {' '.join(away)}; " if away else "") + (f"export {' '.join(new)}; " if new else "")


def threads_asked(arguments: Sequence[str]) -> int | None:
    """The number after --threads on a command line, which must be known before its parser is; None without one."""
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        value = value if equals else next(iter(arguments[position + 1 :]), "")
        if flag == "--threads" and value.isascii() and value.isdigit() and int(value) > 0:
            return int(value)
    return None


def started_by_torchrun(environment: Mapping[str, str], parent: int) -> bool:
    """Whether process `parent` is torchrun (Linux); elsewhere whether its variables are there, as they say so."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return False
    if environment.get(FORKED) == f"{parent} {TORCHRUN}":
        return True
    try:
        with open(f"/proc/{parent}/cmdline", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:
        return True
    return any(word == TORCHRUN or os.path.basename(word) == "torchrun" for word in words)


def home_writable(environment: Mapping[str, str]) -> bool:
    """Whether the home folder exists and can be written; tried, as permissions do not say it for everybody."""
    folder = environment.get("HOME") or os.path.expanduser("~")
    with suppress(AttributeError, OSError):  # Linux alone knows files without names, and not on every disk
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
        return True
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def temporary_folder() -> str:
    """Where temporary files belong, as `tempfile` says it, which is asked only where that is no folder to write in."""
    folder = next((os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)), "/tmp")
    if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
        return os.path.abspath(folder)
    import tempfile

    return tempfile.gettempdir()


def table() -> str:
    """The variables that are taken away or set, and why: the table of docs/environment.md."""
    ranks = {RANKS: "left over from another job, a program would wait for ranks that never come"}
    rows = [("variables", "become", "because")]
    for pattern, reason in (TAKEN_AWAY | ranks).items():
        rows.append((f"`{pattern}`".replace("|", "\\|"), "away", reason))
    rows += [(f"`{name}`", f"`{value}`", reason) for name, (value, reason) in SET.items()]
    rows.append((_listed(THREADS), "`--threads`", "read before our code runs; kept without the flag"))
    rows.append((_listed(CACHES), "beside TMPDIR", "only where the home folder cannot be written; kept where set"))
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---|---|---|", *body])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
