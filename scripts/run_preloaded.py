"""Run a program of this project in a process that has the libraries loaded: run_preloaded.py PROGRAM [ARGUMENT …]."""

import sys

from plw.preload import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
