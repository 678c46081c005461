"""The workflow on a real SLURM: a cluster of one node on this machine, started, used and stopped by this program.

    apt-get install slurm-wlm munge      # Debian's; nothing of them needs to be configured or running
    pip install 'dfmvr[study,slurm]'
    python tests/slurm_cluster.py

It takes the tiny study through the jobs of `profiles/slurm`, from the face model to the report. One training is so long
that its time limit ends it; it must be handed in again, go on from its last checkpoint, and give to the last bit what
it gives in one go. Another asks for two GPUs. The GPUs are counted and handed out by SLURM but are none, so that both
train on CPUs. Jobs that have more memory than their rules ask for are killed, as on a cluster.

Not a test of pytest's: it takes minutes, and daemons of its own.
"""

import argparse
import contextlib
import getpass
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from workflow_jobs import link_workflow

REPORT = ("--results", "results", "--tables", "results/report")
TRAINING = "rule_train_variant_wildcards_"
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/slurmctld
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdSpoolDir={folder}/slurmd
SlurmdPidFile={folder}/slurmd.pid
MpiDefault=none
# without control groups, which a container may not make
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# a job that has more memory than it asked for is killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# the node is what stands here, whatever the machine is
SlurmdParameters=config_overrides
OverTimeLimit=0
KillWait=5
MinJobAge=7200
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=40000 Gres=gpu:2 State=UNKNOWN
PartitionName=common Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=training Nodes=ALL MaxTime=INFINITE State=UP
"""


def missing():
    """What a cluster needs and this machine lacks."""
    lacking = [f"the program {name} (slurm-wlm, munge)" for name in (*DAEMONS, "sbatch") if not shutil.which(name)]
    if not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        lacking.append("the package snakemake-executor-plugin-slurm (dfmvr[slurm])")
    return lacking


def free_ports(count):
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def daemon(folder, *command):
    """A program that runs in the foreground of its own session until the block ends."""
    with (folder / f"{command[0]}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def cluster(folder):
    """A SLURM of one node, whose state lies in `folder`; its clients find it by SLURM_CONF."""
    host = socket.gethostname().split(".")[0]
    for name in ("slurmctld", "slurmd"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    facts = {"host": host, "user": getpass.getuser(), "folder": folder, "ports": free_ports(2)}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**facts))
    devices = ("/dev/null", "/dev/zero")  # SLURM wants one for each GPU, and looks no closer
    (folder / "gres.conf").write_text("".join(f"NodeName={host} Name=gpu File={device}\n" for device in devices))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    within_jobs(folder / "bin")
    names = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    own = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in names]
    for parent in (folder, folder.parent):
        parent.chmod(0o711)  # munged wants its socket within reach of everybody
    with contextlib.ExitStack() as stack:
        stack.enter_context(daemon(folder, "munged", "--foreground", *own))
        wait_for((folder / "munge.socket").exists, "munged", folder)
        stack.enter_context(daemon(folder, "slurmctld", "-D"))
        stack.enter_context(daemon(folder, "slurmd", "-D", "-N", host))
        wait_for(lambda: asked("sinfo", "-h", "-o", "%t") == "idle", "slurmd", folder)
        try:
            yield
        finally:
            asked("scancel", "--me")
            wait_for(lambda: not asked("squeue", "-h"), "slurmctld", folder)


def within_jobs(folder):
    """Let `srun` find the cluster within jobs too, where the plugin removes SLURM_CONF."""
    folder.mkdir()
    srun = folder / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={os.environ["SLURM_CONF"]} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def asked(*command):
    """What a client of SLURM prints; nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def wait_for(ready, name, folder, seconds=60):
    """Wait until `ready()`; exit with the end of a daemon's log where it does not come."""
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            log = (folder / f"{name}.log").read_text()
            sys.exit(f"{name} is not ready after {seconds} s; the end of its log:\n{log[-2000:]}")
        time.sleep(0.5)


def jobs():
    """Every job that the cluster had, in order: its rule and wildcards, state and what SLURM gave it."""
    names = ("JobId", "Comment", "Partition", "JobState", "TimeLimit", "RunTime", "TRES", "TresPerJob")
    lines = asked("scontrol", "--oneliner", "show", "jobs").splitlines()
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return sorted(({name: job.get(name, "") for name in names} for job in found), key=lambda job: int(job["JobId"]))


def snakemake(folder, *arguments):
    """Run the workflow in a folder, its output as it comes."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config/ci.yaml", "long.json"]
    if code := subprocess.run(command, cwd=folder, check=False).returncode:
        sys.exit(f"snakemake {shlex.join(arguments)}: exit code {code}")


def tiny_study(epochs):
    """What `config/ci.yaml` is extended by: one data set, a training longer than its limit, one by two processes."""
    long = {"epochs": epochs, "gpus": 1, "hours": 1 / 60, "checkpoint_minutes": 0.1}
    return {
        "study": {"tests": {"pixel_face": ["mean_face", "dfmvr", "two_gpus", "floor"]}},
        "variants": {"dfmvr": long, "two_gpus": {"gpus": 2}},
    }


def main():
    """Run the study on a cluster and check how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60, help="of the training that its limit of a minute must end")
    args = parser.parse_args()
    if lacking := missing():
        sys.exit(f"no cluster can be started: {', '.join(lacking)} is missing")
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name) / "study"
        folder.mkdir()
        link_workflow(folder)
        (folder / "long.json").write_text(json.dumps(tiny_study(args.epochs)))
        state = Path(name) / "state"
        state.mkdir()
        with cluster(state):
            # A limit of one minute, the shortest, is more often met than three times on a slow machine.
            patient = ("--jobs", "2", "--retries", "30")
            where = ("--set-resources", "train_variant:slurm_partition=training")
            asking = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5")
            try:
                snakemake(folder, "--workflow-profile", "profiles/slurm", *patient, *where, *asking)
            finally:
                ran = jobs()
                say(*("\t".join(job.values()) for job in ran))
        check(folder, ran)


def say(*lines):
    """Print lines at once, in order with what other programs print."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def check(folder, ran):
    """Whether the study is whole, the long training was ended and went on, and nothing shows that it was."""
    states = defaultdict(list)
    for job in ran:
        states[job["Comment"]].append(job["JobState"])
    given = {job["Comment"]: job["TresPerJob"] for job in ran if job["Partition"] == "training"}
    assert given == {TRAINING + "dfmvr": "gres:gpu:1", TRAINING + "two_gpus": "gres:gpu:2"}, given
    long = states.pop(TRAINING + "dfmvr")
    assert {tuple(ended) for ended in states.values()} == {("COMPLETED",)}, dict(states)
    assert long[-1] == "COMPLETED", long
    assert set(long[:-1]) == {"TIMEOUT"}, f"{long}: its limit should have ended the training; give more --epochs"
    trained, kept = folder / "results" / "train" / "dfmvr", folder / "resumed"
    (step,) = re.findall(r"going on from step (\d+)", (folder / "logs" / "train" / "dfmvr.log").read_text())
    subprocess.run([sys.executable, "-m", "dfmvr", "report", "--check", *REPORT], cwd=folder, check=True)
    trained.rename(kept)
    snakemake(folder, "--cores", "2", "results/train/dfmvr/weights.safetensors")
    for name in ("weights.safetensors", "metrics.csv"):
        assert (trained / name).read_bytes() == (kept / name).read_bytes(), f"{name} is not that of one go"
    steps = len((trained / "metrics.csv").read_text().splitlines()) - 1
    ended = f"{len(ran)} jobs; the training that its limit ended {len(long) - 1} times went on"
    say(f"{ended}, the last time from step {step} of {steps}, and is to the last bit what it is in one go")


if __name__ == "__main__":
    main()
