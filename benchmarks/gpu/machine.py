"""The device that is measured: name, driver, memory, and what its data sheet promises."""

import re
import subprocess
from pathlib import Path

import torch
from plw.training.record import device_state, git_state, versions

# Dense bfloat16 FLOP/s (half of what a sheet prints "with sparsity") and bytes/s of memory, by the name that PyTorch
# shows (in whole: a slice of a card, or its NVL form, has other rates). NVIDIA's data sheets, "S"
# with sparsity: H100 (SXM 1,979 TFLOPS S, 3.35 TB/s; PCIe 1,513 S, 2 TB/s), H200 (1,979 S, 4.8 TB/s), A100 (312; 80 GB
# SXM 2,039 GB/s, 80 GB PCIe 1,935, 40 GB 1,555), L40S (733 S, 864 GB/s), L4 (242 S, 300 GB/s).
DATA_SHEETS = {
    "NVIDIA H100 PCIe": (756.5e12, 2.0e12),
    "NVIDIA H100 80GB HBM3": (989.5e12, 3.35e12),
    "NVIDIA H200": (989.5e12, 4.8e12),
    "NVIDIA A100-SXM4-80GB": (312e12, 2.039e12),
    "NVIDIA A100 80GB PCIe": (312e12, 1.935e12),
    "NVIDIA A100-SXM4-40GB": (312e12, 1.555e12),
    "NVIDIA A100-PCIE-40GB": (312e12, 1.555e12),
    "NVIDIA L40S": (366.5e12, 0.864e12),
    "NVIDIA L4": (121e12, 0.3e12),
}
DRIVER_FILE = Path("/proc/driver/nvidia/version")


def data_sheet(name: str | None) -> tuple[float, float] | None:
    """(dense bfloat16 FLOP/s, bytes/s of memory) of NVIDIA's data sheet; None for a device that is not in the table."""
    return DATA_SHEETS.get(name or "")


def describe_machine(device: str) -> dict:
    """{device, versions, commit} as gpu.json begins with them; None in place of what cannot be found out."""
    state = device_state(device)
    sheet = data_sheet(state["model"])
    about = {
        "type": device,
        "name": state["model"] or state["cpu"],
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory if device == "cuda" else None,
        "driver": driver() if device == "cuda" else None,
        "cuda": torch.version.cuda if device == "cuda" else None,
        "data_sheet": {"flops": sheet[0], "bandwidth": sheet[1]} if sheet else None,
    }
    return {"device": about, "versions": versions(), "commit": git_state(Path(__file__).parent)["commit"]}


def driver() -> str | None:
    """Version of NVIDIA's driver, from its own file or program."""
    try:
        if DRIVER_FILE.is_file():
            return driver_version(DRIVER_FILE.read_text(encoding="utf-8").splitlines()[0])
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.stdout.splitlines()[0].strip() if done.returncode == 0 else None
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return None


def driver_version(line: str) -> str:
    """The number in the first line of the driver's file, or the line where it has none."""
    found = re.search(r"\b\d+(\.\d+)+\b", line)
    return found[0] if found else line.strip()
