"""Starting the workers of one machine, and ending them together."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from delvm_tf.distribution.cluster import Cluster

LOOPBACK = "127.0.0.1"


class WorkerFailed(RuntimeError):
    """A worker ended with an error or was killed, and the others were stopped."""


def run_workers(
    command: Sequence[str],
    number: int,
    say: Callable[[str], None],
    grace: float = 10.0,
) -> None:
    """Run a command as several workers of this machine, until all are done.

    Each is told by TF_CONFIG who the workers are, all at ports of the loopback interface, and which
    one it is. If one fails, the others, which could only wait for it, are ended too.

    Args:
        command: the program and its arguments.
        number: of workers.
        say: gets the workers' output line by line, with the worker's number in front.
        grace: seconds that the others have to end by themselves after one failed.

    Raises:
        ValueError: for a number below one.
        WorkerFailed: which worker failed, and how.
    """
    if number < 1:
        raise ValueError(f"the number of workers must be at least 1, got {number}")
    addresses = tuple(f"{LOOPBACK}:{port}" for port in free_ports(number))
    environments = {
        str(index): {"TF_CONFIG": Cluster(addresses, index).tf_config()} for index in range(number)
    }
    with started(command, environments, say) as processes:
        failed = _wait(processes, grace)
    if failed is not None:
        raise WorkerFailed(
            f"worker {failed} of {number} {_how(processes[failed].returncode)}, and the run was "
            f"stopped; see its output above. The same command goes on from the last backup if "
            f"there is one."
        )


@contextmanager
def started(
    command: Sequence[str],
    environments: Mapping[str, Mapping[str, str]],
    say: Callable[[str], None],
) -> Iterator[list[subprocess.Popen]]:
    """A command as several processes, which are ended at the end of the block if they still run.

    Args:
        command: the program and its arguments.
        environments: what the environment of each has more, by its name.
        say: gets their output line by line, with `[name]` in front.
    """
    processes: list[subprocess.Popen] = []
    readers: list[threading.Thread] = []
    try:
        for name, more in environments.items():
            process = subprocess.Popen(
                command, env=os.environ | more, text=True, errors="replace",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            processes.append(process)
            readers.append(threading.Thread(target=_relay, args=(process, name, say), daemon=True))
            readers[-1].start()
        yield processes
    finally:
        _end(processes)
        for reader in readers:
            reader.join(timeout=5)


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _relay(process: subprocess.Popen, name: str, say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        say(f"[{name}] {line.rstrip()}")


def _wait(processes: list[subprocess.Popen], grace: float) -> int | None:
    """The first worker that failed, after the others ended or had their time to; None if none."""
    failed, deadline = None, float("inf")
    while any(process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            return failed
        time.sleep(0.1)
        if failed is None:
            failed = _first_failed(processes)
            deadline = time.monotonic() + grace if failed is not None else deadline
    return _first_failed(processes) if failed is None else failed


def _first_failed(processes: list[subprocess.Popen]) -> int | None:
    codes = [process.poll() for process in processes]
    killed = [i for i, code in enumerate(codes) if code is not None and code < 0]
    return next(iter(killed + [i for i, code in enumerate(codes) if code]), None)


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"


def _end(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
