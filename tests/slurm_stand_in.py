"""Stands in for SLURM: `slurm_stand_in.py sbatch SCRIPT`, `srun COMMAND...` or `scontrol requeue JOB`.

`install(folder)` writes commands of these names. Jobs of an array run one after the other. Of the environment:
`STAND_IN_SPOOL`, a folder for what jobs leave; `STAND_IN_TIME_UP`, a file that appears when a job's first start is out of time.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

KNOWN = {
    "array", "job-name", "ntasks", "nodes", "ntasks-per-node", "partition", "time", "mem", "cpus-per-task", "gres", "requeue",
    "output", "open-mode", "signal", "account",
}  # fmt: skip


def install(folder):
    """Commands of these names in a folder, which is to be on the path."""
    folder.mkdir(parents=True)
    for name in ("sbatch", "srun", "scontrol"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {name} "$@"\n')
        (folder / name).chmod(0o755)


def options_of(script):
    """The options that a script's first lines state; those behind the first command do not count."""
    found = {}
    for line in Path(script).read_text().splitlines():
        if line.startswith("#SBATCH "):
            name, _, value = line.removeprefix("#SBATCH --").partition("=")
            found[name] = value
        elif line and not line.startswith("#"):
            break
    return found


def sbatch(script):
    options = options_of(script)
    unknown = options.keys() - KNOWN
    if unknown:
        sys.exit(f"sbatch: unrecognized option {unknown}")
    spool = Path(os.environ["STAND_IN_SPOOL"])
    spool.mkdir(exist_ok=True)
    worst = 0
    for number, task in enumerate(re.findall(r"\d+", options.get("array", "0").partition("%")[0])):
        job = str(100 + number)
        where = {"SLURM_JOB_ID": job, "SLURM_CPUS_PER_TASK": options["cpus-per-task"]}
        where |= {"SLURM_JOB_NUM_NODES": options.get("nodes", "1")}
        where |= {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_JOB_ID": "100"} if "array" in options else {}
        output = options["output"].replace("%A", "100").replace("%a", task).replace("%j", job)
        for start in range(10):
            again = {"SLURM_RESTART_COUNT": str(start)} if start else {}
            with open(spool / output, "ab") as said:
                code = run(script, os.environ | where | again, said, spool / f"requeue-{job}", first=not start)
            if code is not None:
                worst = max(worst, code)
                break
    return worst


def run(script, environment, said, requeued, first):
    """The status of one start of a job; None: it is to start again."""
    process = subprocess.Popen(
        ["bash", script], env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
    )
    time_up = Path(os.environ.get("STAND_IN_TIME_UP", os.devnull + "/never"))
    while process.poll() is None:
        if first and time_up.exists():
            os.kill(process.pid, signal.SIGUSR1)  # as B: asks for, to the script alone
            first = False
        if requeued.exists():
            time.sleep(0.2)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            requeued.unlink()
            return None
        time.sleep(0.05)
    return abs(process.returncode)


def srun(*arguments):
    command = [*arguments]
    while command[0].startswith("--"):
        command.pop(0)
    nodes = int(os.environ["SLURM_JOB_NUM_NODES"])
    processes = [
        subprocess.Popen(command, env=os.environ | {"SLURM_PROCID": str(i), "SLURM_NTASKS": str(nodes)})
        for i in range(nodes)
    ]
    return max(abs(process.wait()) for process in processes)


def scontrol(word, job):
    (Path(os.environ["STAND_IN_SPOOL"]) / f"{word}-{job}").touch()


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[sys.argv[1]](*sys.argv[2:]))
