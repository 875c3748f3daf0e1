import json
import sys
import time

import pytest

from delvm_tf.distribution.workers import WorkerFailed, free_ports, run_workers


def python(code):
    return [sys.executable, "-c", code]


def test_each_worker_is_told_which_it_is():
    lines = []
    run_workers(python("import os; print(os.environ['TF_CONFIG'])"), 3, lines.append)
    configs = {line[1]: json.loads(line[4:]) for line in lines}
    assert {key: config["task"]["index"] for key, config in configs.items()} == {
        "0": 0, "1": 1, "2": 2,
    }  # fmt: skip
    clusters = [config["cluster"]["worker"] for config in configs.values()]
    assert clusters[0] == clusters[1] == clusters[2]
    assert len({address for address in clusters[0] if address.startswith("127.0.0.1:")}) == 3


WAIT = "import os, json, time; i = json.loads(os.environ['TF_CONFIG'])['task']['index']; "


def test_when_one_fails_the_others_are_ended():
    started = time.monotonic()
    code = WAIT + "time.sleep(600 * (i != 1)); print('done', i); raise SystemExit(3)"
    lines = []
    with pytest.raises(WorkerFailed, match="worker 1 of 3 ended with status 3"):
        run_workers(python(code), 3, lines.append, grace=1)
    assert time.monotonic() - started < 300
    assert lines == ["[1] done 1"]


def test_a_killed_worker_is_named_even_if_another_fails_for_lack_of_it():
    code = WAIT + "os.kill(os.getpid(), 9) if i else (time.sleep(1), exit(1))"
    with pytest.raises(WorkerFailed, match="worker 1 of 2 was killed by signal 9"):
        run_workers(python(code), 2, lambda line: None, grace=20)


def test_at_least_one_worker():
    with pytest.raises(ValueError, match="at least 1"):
        run_workers(python(""), 0, lambda line: None)


def test_free_ports_differ():
    assert len(set(free_ports(10))) == 10
