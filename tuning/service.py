"""A search by several processes: KerasTuner's chief, which hands out trials, and its workers."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence

from delvm_tf.distribution.workers import LOOPBACK, free_ports

CHIEF = "chief"
PARENT = "DELVM_SEARCH_PARENT"  # set for processes whose parent reports what was found


def role() -> str | None:
    """`"chief"` or `"worker"` as KerasTuner's variables say, or None without them.

    Raises:
        ValueError: if some of the variables are missing.
    """
    names = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")
    given = [name for name in names if os.environ.get(name)]
    if not given:
        return None
    if len(given) < len(names):
        raise ValueError(f"a search by several processes needs all of {', '.join(names)}")
    return CHIEF if CHIEF in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def search_with_workers(
    command: Sequence[str], number: int, say: Callable[[str], None], address: str = LOOPBACK
) -> list[str]:
    """Run a program as chief and workers of this machine, until all workers have ended.

    The chief listens on `address` only. Whoever can connect to it can change the search, since it
    asks for no password: leave it on the loopback interface, or in a network that is trusted.

    Args:
        command: the program; it finds its role in the environment.
        number: of workers.
        say: gets the workers' output line by line, with the worker's name in front.
        address: where the chief listens.

    Returns:
        The workers that failed, and how; the others have done their trials.

    Raises:
        ValueError: for a number below one.
    """
    if number < 1:
        raise ValueError(f"the number of workers must be at least 1, got {number}")
    (port,) = free_ports(1)
    names = [CHIEF, *(f"worker{index}" for index in range(number))]
    processes: dict[str, subprocess.Popen] = {}
    readers = []
    try:
        for name in names:
            environment = os.environ | {
                "KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": address,
                "KERASTUNER_ORACLE_PORT": str(port), PARENT: "yes",
            }  # fmt: skip
            processes[name] = subprocess.Popen(
                command, env=environment, text=True, errors="replace",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            if name == CHIEF:  # it only repeats the values that it hands out
                reader = threading.Thread(target=_drop, args=(processes[name],), daemon=True)
                reader.start()
                readers.append(reader)
                continue
            reader = threading.Thread(target=_relay, args=(processes[name], name, say), daemon=True)
            reader.start()
            readers.append(reader)
        for name in names[1:]:
            processes[name].wait()
    finally:
        _end(processes.values())  # the chief too, which waits for workers that were killed
        for reader in readers:
            reader.join(timeout=5)
    return [
        f"{name} ended with status {processes[name].returncode}"
        for name in names[1:]
        if processes[name].returncode
    ]


def _relay(process: subprocess.Popen, name: str, say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        say(f"[{name}] {line.rstrip()}")


def _drop(process: subprocess.Popen) -> None:
    assert process.stdout is not None
    for _ in process.stdout:
        pass


def _end(processes: Iterable[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
