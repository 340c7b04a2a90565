"""What a run's record says about where it was made: versions, commit, device, memory, energy."""

import importlib.metadata
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "accelerate", "deepspeed", "tokenizers", "safetensors", "numpy")
RAPL = Path("/sys/class/powercap")  # Linux's counters of CPU package energy, readable by root on most machines

SIZE, TURNS = 1024, 3  # of the products that are timed, 6 GFLOP: half a tenth of a second on one core with AVX-512


def versions() -> dict[str, str | None]:
    """Return the version of Python and of the packages that training rests on; torch's with its build (+cu130)."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found | {"torch": str(torch.__version__)}  # a wheel's metadata may leave the build out


def git_state(folder: Path) -> dict[str, str | bool | None]:
    """Return commit and whether tracked files differ from it; None where there is no repository or no git."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), "--no-optional-locks", *words],
                capture_output=True,
                text=True,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    changes = ask("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def device_state(device: str) -> dict:
    """Return the device's type and model, the CPU's model and instruction set, threads and host.

    instruction_set is what PyTorch computes with (AVX2, AVX512, …): sums are rounded in another order with another.
    """
    return {
        "type": device,
        "model": torch.cuda.get_device_name() if device == "cuda" else None,
        "cpu": _cpu_model(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "host": platform.node(),
    }


def measure_matrix_rate(clock: Callable[[], float] = time.perf_counter) -> float:
    """Floating-point operations a second of float32 products on this process's threads, the fastest of a few.

    clock  whose seconds: of the wall, or of the processor where a training beside it is timed so
    """
    left, right = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    product = left @ right
    seconds = []
    for _ in range(TURNS):
        start = clock()
        torch.mm(left, right, out=product)
        seconds.append(clock() - start)
    return 2 * SIZE**3 / min(seconds)


def peak_memory_bytes(device: str) -> dict[str, int | None]:
    """Return the peak resident memory of this process and the peak memory allocated on its GPU, in bytes."""
    return {
        "host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "device": torch.cuda.max_memory_allocated() if device == "cuda" else None,
    }


class EnergyMeter:
    """Joules since construction: of the machine's CPU packages (RAPL), or of all ranks' GPUs (NVML).

    Construct it on every rank once the rank has its GPU. Each rank reads its own, found by its UUID: NVML numbers all
    GPUs of a machine, CUDA only those that the job may see.
    """

    def __init__(self, device: str):
        self._device = device
        self._start = self._read()

    def joules(self) -> float | None:
        """Return the energy used so far; None where it cannot be read (or a counter wrapped around).

        Call it on every rank.
        """
        now = self._read()
        used = None if now is None or self._start is None or now < self._start else now - self._start
        return sum_over_ranks(used) if self._device == "cuda" else used

    def _read(self) -> float | None:
        try:
            if self._device == "cuda":
                import pynvml  # only there with NVIDIA's driver

                pynvml.nvmlInit()
                uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
                return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000  # millijoules
            counters = [int((zone / "energy_uj").read_text()) for zone in RAPL.glob("intel-rapl:?")]
            return sum(counters) / 1e6 if counters else None
        except Exception:  # a meter must never stop a training
            return None


def sum_over_ranks(value: float | None) -> float | None:
    """Return the sum of all ranks' values, or None if a rank has none. Call it on every rank."""
    values = [value]
    if torch.distributed.is_initialized():
        values *= torch.distributed.get_world_size()
        torch.distributed.all_gather_object(values, value)
    known = [one for one in values if one is not None]
    return sum(known) if len(known) == len(values) else None


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None
