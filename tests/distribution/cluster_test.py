import json

import pytest

from delvm_tf.distribution import Cluster, cluster, is_chief, slurm_cluster
from delvm_tf.distribution.cluster import expand_nodes


def test_without_tf_config_a_process_is_on_its_own(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster() == Cluster((), 0)
    assert is_chief()


@pytest.mark.parametrize(
    ("task", "place"), [(("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)]
)
def test_a_chief_comes_before_the_workers(monkeypatch, task, place):
    jobs = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    config = {"cluster": jobs, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert cluster() == Cluster(("a:1", "b:1", "c:1"), place)
    assert is_chief() == (place == 0)


def test_without_a_chief_the_first_worker_is_it(monkeypatch):
    for index in range(2):
        here = Cluster(("a:1", "b:1"), index)
        monkeypatch.setenv("TF_CONFIG", here.tf_config())
        assert cluster() == here
        assert is_chief() == (index == 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "a list"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "worker 1"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "worker -1"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "chief 0"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "a 'ps'"),
    ],
)
def test_a_wrong_tf_config_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG") as error:
        cluster()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a", ["a"]),
        ("a1,b2", ["a1", "b2"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,12]-ib,gpu7", ["n08-ib", "n09-ib", "n10-ib", "n12-ib", "gpu7"]),
        ("r[1-2]n[3,4]", ["r1n3", "r1n4", "r2n3", "r2n4"]),
    ],
)
def test_nodes_of_slurm(text, nodes):
    assert expand_nodes(text) == nodes


@pytest.mark.parametrize("text", ["n[1-2", "n[a-b]", "n[1,]", "n[1-]"])
def test_wrong_nodes_are_refused(text):
    with pytest.raises(ValueError, match="list of nodes"):
        expand_nodes(text)


def test_cluster_of_a_slurm_job(monkeypatch):
    for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="srun"):
        slurm_cluster()
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert slurm_cluster(7) == Cluster(("n1:7", "n2:7"), 1)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    with pytest.raises(ValueError, match="one task"):
        slurm_cluster()
