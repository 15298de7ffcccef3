"""Where the processes of a training are, and which of them this one is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LOCAL = re.compile(r"local:(\d+)")
_ADDRESS = re.compile(r"(?P<name>[^\s:,]+|\[[0-9a-fA-F:]+\]):(?P<port>\d+)")
_PORTS = range(20000, 30000)  # of SLURM's jobs: below those that Linux gives away
_NODES = re.compile(r"(?P<name>[^,\[\]]*)(?:\[(?P<ranges>[^\]]+)\])?(?P<behind>[^,\[\]]*)(?:,|$)")


class Places(NamedTuple):
    """The processes of a training.

    Attributes:
        addresses: "name:port" of each; the first is the chief, who writes.
        number: of this process among them; the first is 0.
    """

    addresses: tuple[str, ...]
    number: int

    def named(self, index: int) -> str:
        """A host, for messages."""
        return f"host {index} ({self.addresses[index]})"


def local_count(hosts: str | None) -> int | None:
    """The N of `local:N`; None: hosts are named otherwise, or not at all.

    Raises:
        ValueError: N is 0.
    """
    found = LOCAL.fullmatch(hosts or "")
    if found is None:
        return None
    if int(found[1]) == 0:
        raise ValueError("--hosts local:N starts N processes, at least 1. Received: 'local:0'")
    return int(found[1])


def places_of(hosts: str | None, index: int | None, environment: Mapping[str, str] = os.environ) -> Places:
    """Where the processes are: as it is said here, by `TF_CONFIG`, or by SLURM, in this order.

    Args:
        hosts: "name:port,name:port..."; None: the environment says it.
        index: of this process; None: it is not said here.
        environment: variables of this process.

    Raises:
        ValueError: nothing says it, or what does cannot be used.
    """
    if hosts is not None:
        return _checked(hosts.split(","), index, "--hosts", "--index K")
    if index is not None:
        raise ValueError(f"--index says which of --hosts this process is, and needs them. Received: --index {index}")
    if environment.get("TF_CONFIG"):
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _of_slurm(environment)
    raise ValueError(
        "train.devices: cluster finds no cluster: give --hosts NAME:PORT,NAME:PORT --index K (or --hosts local:N for N processes "
        "of this machine), set TF_CONFIG, or start the command with SLURM's srun; for the GPUs of this machine alone, set "
        "train.devices: all"
    )


def _checked(addresses: Sequence[str], index: object, source: str, wanted: str) -> Places:
    for address in addresses:
        found = _ADDRESS.fullmatch(address)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError(f"{source} names each host as NAME:PORT, such as node1:23456. Received: {address!r}")
    if len(set(addresses)) < len(addresses):
        raise ValueError(
            f"{source} names a host twice: each process needs a port of its own. Received: {','.join(addresses)}"
        )
    if not isinstance(index, int) or not 0 <= index < len(addresses):
        raise ValueError(
            f"{source} names {len(addresses)} host(s), and {wanted} must say which of them this process is, from 0 to "
            f"{len(addresses) - 1}. Received: {index}"
        )
    return Places(tuple(addresses), index)


def _of_tf_config(text: str) -> Places:
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        kinds = [kind for kind in ("chief", "worker") if cluster.get(kind)]
        begins = {"chief": 0, "worker": len(cluster.get("chief", []))}
        index = begins[task["type"]] + int(task["index"])
        addresses = [str(address) for kind in kinds for address in cluster[kind]]
        others = sorted(set(cluster) - {"chief", "worker"})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["node1:23456", "node2:23456"]}, "task": {"type": "worker", '
            f'"index": 0}}}}; this one cannot be used ({type(error).__name__}: {error}). Received: {text!r}'
        ) from error
    if others:
        raise ValueError(
            f"TF_CONFIG names hosts that take no part in training, as {', '.join(others)}: name only `worker` (and `chief`). "
            f"Received: {text!r}"
        )
    return _checked(addresses, index, "TF_CONFIG", "its task's index")


def _of_slurm(environment: Mapping[str, str]) -> Places:
    """Of the step that `srun` started: one process for each of its tasks, in the order of their ranks."""

    def variable(*names: str) -> str:
        for name in names:
            if environment.get(name):
                return environment[name]
        raise ValueError(
            f"SLURM_PROCID is set, but not {names[0]}: start one process for each task with `srun ats-mag train CONFIG`, or name "
            "the hosts with --hosts"
        )

    nodes = node_names(variable("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"))
    tasks = task_counts(variable("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"))
    if len(nodes) != len(tasks):
        raise ValueError(f"SLURM names {len(nodes)} node(s) ({', '.join(nodes)}), but tasks of {len(tasks)}")
    job = environment.get("SLURM_JOB_ID", "0")
    base = _PORTS.start + 64 * int(job if job.isdecimal() else 0) % len(_PORTS)  # jobs that share a node differ
    base = int(environment.get("ATS_MAG_PORT", base))
    addresses = [f"{node}:{base + task}" for node, count in zip(nodes, tasks, strict=True) for task in range(count)]
    return _checked(addresses, int(variable("SLURM_PROCID")), "SLURM", "SLURM_PROCID")


def node_names(text: str) -> list[str]:
    """SLURM's short form of a list of nodes, written out: "n[01-03,7],login" -> n01, n02, n03, n7, login.

    Raises:
        ValueError: it is no such form.
    """
    names: list[str] = []
    at = 0
    while at < len(text):
        found = _NODES.match(text, at)
        if found is None or found.end() == at or not (found["name"] or found["ranges"]):
            raise ValueError(f"SLURM's list of nodes should be such as 'n[01-03,7],login'. Received: {text!r}")
        at = found.end()
        for part in (found["ranges"] or "").split(","):
            first, _, last = part.partition("-")
            if not part:
                names.append(found["name"] + found["behind"])
            elif not (first + last).isdecimal():
                raise ValueError(f"SLURM's list of nodes should be such as 'n[01-03,7],login'. Received: {text!r}")
            else:
                numbers = range(int(first), int(last or first) + 1)
                names += [f"{found['name']}{number:0{len(first)}}{found['behind']}" for number in numbers]
    return names


def task_counts(text: str) -> list[int]:
    """SLURM's short form of the tasks of each node, written out: "2(x3),1" -> 2, 2, 2, 1.

    Raises:
        ValueError: it is no such form.
    """
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if found is None:
            raise ValueError(f"SLURM's tasks per node should be such as '2(x3),1'. Received: {text!r}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
