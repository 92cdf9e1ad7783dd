"""A real Slurm of two nodes on this machine, in one folder: its own key, ports and daemons, no root, no accounting."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")
SBIN = ":/usr/sbin:/sbin"
"""Where the daemons are, which not every user's PATH names."""
NODES = ("node1", "node2")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=600
KillWait=10
SlurmdTimeout=30
GresTypes=gpu
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=32000 Gres=gpu:1\n"


def missing() -> str:
    """The programs of Slurm that this machine lacks."""
    path = os.environ["PATH"] + SBIN
    return ", ".join(name for name in PROGRAMS if shutil.which(name, path=path) is None)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


def write_configuration(folder: Path) -> None:
    """slurm.conf and gres.conf, the key of munge, and an `srun` that finds them.

    Snakemake's plugin takes every variable named SLURM_* from the environment of `srun`, SLURM_CONF too.
    """
    host = socket.gethostname().partition(".")[0]
    controller, *ports = free_ports(1 + len(NODES))
    text = CONFIGURATION.format(folder=folder, host=host, user=getpass.getuser(), controller=controller)
    text += "".join(NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True))
    text += "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    gpus = "".join(f"NodeName={name} Name=gpu File=/dev/zero\n" for name in NODES)
    (folder / "gres.conf").write_text(gpus, encoding="utf-8")
    for name in ("state", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    srun.chmod(0o755)


def ask(environment: dict[str, str], *command: str) -> str:
    """What a command of Slurm says."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def two_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster, yield the environment in which its commands are called, and stop it with all its jobs.

    The path of `folder` must be short, as a socket's name is.
    """
    folder.chmod(0o700)  # munge refuses a key that others could reach
    write_configuration(folder)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    environment["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}{SBIN}"
    # --force: the folder is nobody else's, where munge expects one that all may enter
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
    munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    daemons = [munge, ["slurmctld", "-D", "-i"], *(["slurmd", "-D", "-N", name] for name in NODES)]
    with ExitStack() as stack:
        for command in daemons:
            stack.enter_context(running(command, environment))
            wait_for((folder / "munge.socket").exists, "munge's socket")
        wait_for(lambda: ask_nodes(environment) == ["idle"] * len(NODES), "two idle nodes")
        try:
            yield environment
        finally:
            ask(environment, "scancel", "--full", "--user", getpass.getuser())
            wait_for(lambda: not ask(environment, "squeue", "-h").strip(), "the end of all jobs")
    kill_leftovers(f"SLURM_CONF={folder}/slurm.conf")


def ask_nodes(environment: dict[str, str]) -> list[str]:
    """States of the nodes; none while the controller starts."""
    said = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=environment, capture_output=True, text=True)
    return said.stdout.split()


def kill_leftovers(variable: str) -> None:
    """End what is left of jobs whose node was set down: on a real cluster the machine would be gone with them."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except (PermissionError, FileNotFoundError, ProcessLookupError):  # of another user, or gone meanwhile
            continue


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground, ended with the block."""
    daemon = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def wait_for(condition, what: str, seconds: float = 60) -> None:
    """Look every twentieth of a second; TimeoutError names what did not come."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
