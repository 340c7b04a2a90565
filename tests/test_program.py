"""The first import of every program, and what runs it."""

import os
import subprocess
import sys

from checkout import ROOT


def test_garbage_is_collected_while_a_program_works_and_not_while_it_imports(tmp_path):
    program = tmp_path / "scripts/stage/program.py"
    program.parent.mkdir(parents=True)
    program.write_text(
        "from plw.program import run_program\n"
        "import gc\n"
        "while_importing = gc.isenabled()\n"
        "run_program(lambda: print(while_importing, gc.isenabled(), gc.get_freeze_count() > 0))\n"
    )
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, str(program)], env=variables, capture_output=True, text=True)
    assert done.stdout == "False True True\n", done.stderr
