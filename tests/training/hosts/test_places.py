"""Where the processes of a training are: options, TF_CONFIG, SLURM."""

import json

import pytest

from ats_mag.training.hosts.places import local_count, node_names, places_of, task_counts


def tf_config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_options_come_before_the_environment():
    found = places_of("a:1,b:2", 1, tf_config({"worker": ["c:3"]}))
    assert found == (("a:1", "b:2"), 1)
    assert found.named(1) == "host 1 (b:2)"


def test_a_chief_of_tf_config_is_the_first():
    cluster = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert places_of(None, None, tf_config(cluster, "worker", 1)) == (("a:1", "b:2", "c:3"), 2)
    assert places_of(None, None, tf_config(cluster, "chief", 0)).number == 0


def test_tasks_of_slurm_are_counted_node_by_node():
    step = {
        "SLURM_JOB_ID": "7",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "gpu[09-10]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    found = places_of(None, None, step)
    port = int(found.addresses[0].partition(":")[2])
    assert found == ((f"gpu09:{port}", f"gpu09:{port + 1}", f"gpu10:{port}"), 2)
    assert places_of(None, None, step | {"SLURM_JOB_ID": "8"}).addresses != found.addresses  # jobs that share a node
    assert places_of(None, None, step | {"ATS_MAG_PORT": "4000"}).addresses[1] == "gpu09:4001"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("login", ["login"]),
        ("n[1-3,7],m", ["n1", "n2", "n3", "n7", "m"]),
        ("a[08-10]-ib,b-[2]", ["a08-ib", "a09-ib", "a10-ib", "b-2"]),
    ],
)
def test_lists_of_nodes(text, names):
    assert node_names(text) == names


def test_tasks_of_nodes():
    assert task_counts("2(x3),1") == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("hosts", "index", "environment", "message"),
    [
        (None, None, {}, "finds no cluster: give --hosts .* or start the command with SLURM's srun"),
        ("a:1,b", 0, {}, "each host as NAME:PORT.* Received: 'b'"),
        ("a:1,b:99999", 0, {}, "Received: 'b:99999'"),
        ("a:1,a:1", 0, {}, "names a host twice"),
        ("a:1,b:2", None, {}, r"--index K must say which .* from 0 to 1\. Received: None"),
        ("a:1,b:2", 2, {}, "Received: 2"),
        (None, 1, {}, "--index says which of --hosts"),
        (None, None, {"TF_CONFIG": "{"}, "TF_CONFIG must be JSON such as"),
        (None, None, tf_config({"worker": ["a:1"]}, "ps"), "TF_CONFIG must be JSON such as"),
        (None, None, tf_config({"worker": ["a:1"], "ps": ["b:2"]}), "take no part in training, as ps"),
        (None, None, {"SLURM_PROCID": "0"}, "SLURM_PROCID is set, but not SLURM_STEP_NODELIST"),
        (
            None,
            None,
            {"SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n[1-", "SLURM_STEP_TASKS_PER_NODE": "1"},
            r"list of nodes should be .* Received: 'n\[1-'",
        ),
        (
            None,
            None,
            {"SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n1", "SLURM_STEP_TASKS_PER_NODE": "x"},
            "tasks per node should be",
        ),
    ],
)
def test_what_names_no_places_is_refused(hosts, index, environment, message):
    with pytest.raises(ValueError, match=message):
        places_of(hosts, index, environment)


def test_processes_of_this_machine():
    assert local_count("local:3") == 3
    assert local_count("a:1") is None
    assert local_count(None) is None
    with pytest.raises(ValueError, match="at least 1"):
        local_count("local:0")
