"""Huge pages for a process that forks many children. Linux alone has them; elsewhere `collapse` does nothing.

A fork copies an entry for each page of 4 KiB that the process has written, and the child's end takes each away. A huge
page is one entry for 512 of them (x86-64). A child that writes into one has its own entries for it from then on, and
copies the 4 KiB that it writes, as without. What that saves: `benchmarks/bench_overheads.py`.
"""

import ctypes
import sys
from pathlib import Path

MADV_COLLAPSE = 25  # linux/mman.h, since Linux 6.1, whatever the machine's setting of transparent huge pages
SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")  # bytes of a huge page
MAPS = Path("/proc/self/maps")  # proc(5): addresses, permissions, offset, device, inode and what is mapped


def collapse() -> int:
    """Move this process's memory into huge pages where it fills enough of one; returns how many bytes were moved.

    Where the system has none, or none is free, memory stays as it is.
    """
    if sys.platform != "linux" or not SIZE.exists():
        return 0
    size = int(SIZE.read_text())
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
    moved = 0
    for line in MAPS.read_text().splitlines():
        addresses, permissions, *_, inode, name = f"{line} -".split(maxsplit=5)
        if not permissions.startswith("rw-p") or inode != "0" or name.startswith(("[stack", "[v")):
            continue  # files' pages, and what is no memory of ours
        first, last = (int(address, 16) for address in addresses.split("-"))
        for start in range(-(-first // size) * size, last // size * size, size):
            moved += size * (madvise(start, size, MADV_COLLAPSE) == 0)
    return moved
