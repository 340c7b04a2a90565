"""Run a program of this project in a process that has the libraries loaded: run_preloaded.py PROGRAM [ARGUMENT …].

Inside a Slurm job the program is started plainly: a scheduler ends all processes of a job with it, and the server would
take the other jobs' programs along.
"""

import os
import sys

from plw.preload import run

if __name__ == "__main__":
    if "SLURM_JOB_ID" in os.environ:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    sys.exit(run(sys.argv[1], sys.argv[2:]))
