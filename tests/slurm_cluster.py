"""A private one-node Slurm cluster for tests: Debian's Slurm and munge, started as root, stopped and removed after."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian_packages

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("slurmctld", "munged")
START_SECONDS = 60
# Snakemake's plugin takes all SLURM_ variables out of a job's environment, SLURM_CONF too, so the steps inside a job
# find the cluster only where Slurm looks by itself.
SYSTEM_CONFIGURATION = Path("/etc/slurm/slurm.conf")


def has_its_own() -> bool:
    """Whether this machine has a Slurm that no test started; a link that a killed test left counts for nothing."""
    if not SYSTEM_CONFIGURATION.is_symlink():
        return SYSTEM_CONFIGURATION.exists()
    folder = SYSTEM_CONFIGURATION.readlink().parent
    if not (folder / "munge" / "key").exists():  # as `cluster` lays it out
        return SYSTEM_CONFIGURATION.exists()
    number = folder / "slurmctld.pid"
    return number.exists() and Path("/proc", number.read_text().strip(), "exe").exists()


def why_not() -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "a private Slurm cluster needs root"
    if has_its_own():
        return f"{SYSTEM_CONFIGURATION} is there: this machine has a Slurm of its own"
    return next(filter(None, map(debian_packages.why_not, PROGRAMS)), None)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _configuration(folder: Path) -> str:
    hardware = subprocess.run([debian_packages.find("slurmd"), "-C"], capture_output=True, text=True, check=True).stdout
    cpus = int(re.search(r"CPUs=(\d+)", hardware)[1])
    memory = int(re.search(r"RealMemory=(\d+)", hardware)[1])
    host = socket.gethostname().split(".")[0]
    controller, daemon = _free_ports(2)
    return f"""\
ClusterName=plwtest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster with its files in `folder`; yields the environment in which sbatch and squeue reach it."""
    for program in PROGRAMS:
        debian_packages.install(program, *PACKAGES)
    munge = folder / "munge"
    for path in (munge, folder / "state", folder / "spool"):
        path.mkdir(parents=True)
    # munged refuses folders that others may write to, so its own lie below a folder of root's.
    os.chmod(folder, 0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    configuration.write_text(_configuration(folder))
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    processes: list[subprocess.Popen] = []
    SYSTEM_CONFIGURATION.parent.mkdir(exist_ok=True)
    SYSTEM_CONFIGURATION.unlink(missing_ok=True)  # a link that a killed test left
    SYSTEM_CONFIGURATION.symlink_to(configuration)
    try:
        munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket"]
        munged += [f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"]
        for command in (munged, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            with open(folder / f"{command[0]}.out", "w") as log:
                call = [debian_packages.find(command[0]), *command[1:]]
                processes.append(subprocess.Popen(call, env=environment, stdout=log, stderr=log, cwd=folder))
            time.sleep(1)
        _wait_until_idle(environment, folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=environment, capture_output=True)
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        SYSTEM_CONFIGURATION.unlink(missing_ok=True)


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
        if state.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(f"--- {log}\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.out")))
    raise RuntimeError(f"Slurm did not start: {state.stdout} {state.stderr}\n{logs}")
