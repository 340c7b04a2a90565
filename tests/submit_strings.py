"""The sbatch commands that the Slurm plugin would send for a study, built by the plugin's own code from a dry run.

    python tests/submit_strings.py FILE SNAKEMAKE_ARGUMENTS…

Snakemake parses the arguments, the profile included, and builds its jobs; instead of printing each job, this writes
rule, wildcards, priority and command to FILE, one JSON object a line.
"""

import json
import sys

import snakemake.cli
from snakemake.executors.dryrun import Executor
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

CONSTANT = {"run_uuid": "ID", "slurm_logfile": "LOG", "comment_str": "JOB", "account": "", "workdir": ""}


def write_commands(path: str, arguments: list[str]) -> None:
    """Write the command of every job that is not local; ends the process as Snakemake does."""
    run_job = Executor.run_job
    with open(path, "w", encoding="utf-8") as stream:

        def run_and_write(self: Executor, job) -> None:
            if not (job.rule.norun or job.rule.name in self.workflow._localrules):
                partition = job.resources.get("slurm_partition")
                names = CONSTANT | {"partition": f"-p {partition}" if partition else ""}
                command = get_submit_command(job, names) + set_gres_string(job)
                known = {"rule": job.rule.name, "wildcards": job.wildcards_dict, "priority": job.rule.priority}
                print(json.dumps(known | {"command": " ".join(command.split())}), file=stream)
            run_job(self, job)

        Executor.run_job = run_and_write
        snakemake.cli.main(arguments)


if __name__ == "__main__":
    write_commands(sys.argv[1], sys.argv[2:])
