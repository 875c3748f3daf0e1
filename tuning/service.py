"""A search by several processes: KerasTuner's chief, which hands out trials, and its workers."""

import os
from collections.abc import Callable, Sequence

from delvm_tf.distribution.workers import LOOPBACK, free_ports, started

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
    common = {"KERASTUNER_ORACLE_IP": address, "KERASTUNER_ORACLE_PORT": str(port), PARENT: "yes"}
    names = [CHIEF, *(f"worker{index}" for index in range(number))]
    environments = {name: {**common, "KERASTUNER_TUNER_ID": name} for name in names}

    def heard(line: str) -> None:  # the chief only repeats the values that it hands out
        if not line.startswith(f"[{CHIEF}]"):
            say(line)

    with started(command, environments, heard) as processes:
        for process in processes[1:]:
            process.wait()  # the chief would wait for workers that were killed
    return [
        f"{name} ended with status {process.returncode}"
        for name, process in zip(names[1:], processes[1:], strict=True)
        if process.returncode
    ]
