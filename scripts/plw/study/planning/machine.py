"""How fast this machine is, in half a second: a fixed piece of work of the kind that the small models' jobs do.

Products of matrices of their sizes, and plain Python, on as many cores at once as jobs will run. Processor time hardly
depends on what else the machine does; wall time beside it says how much of a core a job gets now.
"""

import os
import subprocess
import sys
from dataclasses import dataclass

# Half matrices, half interpreter: an update of a small training has a fixed part, and arithmetic that takes as long.
WORK = """
import os, sys, time
import numpy
left, right = numpy.ones((1024, 96), numpy.float32), numpy.ones((96, 256), numpy.float32)
left @ right
cores = int(sys.argv[1])
waiting, begin = os.pipe()
for _ in range(cores):  # forked: one process imports for all
    if os.fork() == 0:
        os.close(begin)
        os.read(waiting, 1)  # until all are there
        wall, used = time.perf_counter(), time.process_time()
        for _ in range(25):
            numpy.exp(-(left @ right))
        total = 0
        for number in range(250_000):
            total += number % 7
        os.write(1, f"{time.process_time() - used} {time.perf_counter() - wall}\\n".encode())
        os._exit(0)
os.close(begin)
for _ in range(cores):
    os.wait()
"""
SECONDS = 60.0  # after which a machine is too busy to be measured


@dataclass(frozen=True)
class Speed:
    """Seconds of the piece of work: of processor time, and on the clock."""

    processor: float
    wall: float

    @property
    def share(self) -> float:
        """How much of a core a job gets now, in (0, 1]."""
        return min(1.0, self.processor / self.wall)


def measure_speed(cores: int = 1) -> Speed | None:
    """Mean speed of `cores` processes that work at the same time; None where it cannot be measured."""
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", WORK, str(cores)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, **single},
        )
        times = [[float(seconds) for seconds in line.split()] for line in done.stdout.splitlines()]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if done.returncode or len(times) != cores:
        return None
    return Speed(*(sum(column) / cores for column in zip(*times, strict=True)))
