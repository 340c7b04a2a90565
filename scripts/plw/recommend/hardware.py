"""What this machine computes with, tried for a second: the rates that a plan of a study needs."""

import time
from dataclasses import dataclass

# Rows of square matrices. A GPU is not busy with small ones; a processor without units for bfloat16 makes a billion
# operations a second in it, and would take two seconds for one product of 1024 rows.
SIZE = {"cpu": 512, "cuda": 8192}
SECONDS = 0.3  # of each trial
COPIED = 2**26  # bytes, more than the caches of most processors
# Times float32's rate from which a processor computes in bfloat16: autocast also casts every weight that it uses. The
# rate with AMX was some seven times float32's, with AVX-512 alone a third (docs/replication.md).
WORTH = 1.5


@dataclass(frozen=True)
class Hardware:
    """A device and its measured rates.

    name       of the GPU, or how many cores
    gpus       how many GPUs there are; 0: a processor
    flops      FLOP/s of products of matrices in `dtype`
    bandwidth  bytes/s of copying, read and written
    dtype      to train in: bfloat16, but float32 on a processor that is not much faster with the former
    """

    name: str
    gpus: int
    flops: float
    bandwidth: float
    dtype: str = "bfloat16"


def hardware_here(*, gpus: int | None = None) -> Hardware:
    """This machine's GPU where it has one and `gpus` is not 0, else its processor."""
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there and gpus != 0:
        return Hardware(torch.cuda.get_device_name(0), there, *_rates("cuda", torch.bfloat16))
    threads = torch.get_num_threads()
    rates = {name: _rates("cpu", getattr(torch, name)) for name in ("float32", "bfloat16")}
    dtype = "bfloat16" if rates["bfloat16"][0] > WORTH * rates["float32"][0] else "float32"
    return Hardware(f"{threads} CPU core{'s' if threads > 1 else ''}", 0, *rates[dtype], dtype)


def _rates(device: str, dtype) -> tuple[float, float]:
    import torch

    size = SIZE[device]
    square = torch.ones((size, size), dtype=dtype, device=device)
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size**3 * _each_second(lambda: square @ square), 2 * COPIED * _each_second(lambda: target.copy_(source))


def _each_second(work) -> float:
    """How often a second `work` is done."""
    import torch

    def wait() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    work()
    wait()
    started, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - started) < SECONDS:
        work()
        wait()
        count += 1
    return count / taken
