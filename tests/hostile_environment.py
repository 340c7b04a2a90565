"""A shell and a home folder full of settings that change or stop programs which believe their environment."""

from pathlib import Path

MATPLOTLIBRC = """savefig.transparent: True
savefig.bbox: tight
axes.facecolor: black
font.weight: bold
figure.dpi: 40
text.usetex: True
legend.loc: upper left
axes.formatter.use_locale: True
"""
RPROFILE = 'options(OutDec = ",")\nsetwd(tempdir())\n'
VARIABLES = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_FSDP": "true",
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "10.255.255.1",
    "MASTER_PORT": "1",
    "TORCHELASTIC_RUN_ID": "none",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "7",
    "PYTHONIOENCODING": "ascii",
    "PYTHONINTMAXSTRDIGITS": "640",
    "LC_ALL": "de_DE.ISO-8859-1",
    "LC_NUMERIC": "de_DE.UTF-8",
    "LANGUAGE": "de",
    "OMP_NUM_THREADS": "2",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "R_DEFAULT_PACKAGES": "NULL",
}


def hostile(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """`environment` with all of it; below `folder` a home with start-up files and a TMPDIR too long for a socket."""
    home, temporary = folder / "home", folder / ("t" * 125)
    home.mkdir(parents=True)
    temporary.mkdir()
    for name, text in {
        ".Rprofile": RPROFILE,
        ".Renviron": "R_LIBS_USER=/nowhere\nR_LIBS=/nowhere\n",
        "matplotlibrc": MATPLOTLIBRC,
        ".config/matplotlib/matplotlibrc": MATPLOTLIBRC,
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    own = {"HOME": home, "TMPDIR": temporary, "MATPLOTLIBRC": home / "matplotlibrc"}
    r = {"R_PROFILE": home / ".Rprofile", "R_PROFILE_USER": home / ".Rprofile", "R_ENVIRON_USER": home / ".Renviron"}
    return {**environment, **VARIABLES, **{name: str(path) for name, path in (own | r).items()}}
