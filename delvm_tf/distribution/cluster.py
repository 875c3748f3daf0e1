"""Which process of a cluster this is, from the environment."""

import json
import os
from dataclasses import dataclass, field

import tensorflow as tf

LOST_WORKER = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
               tf.errors.DeadlineExceededError, tf.errors.InternalError)  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is.

    Attributes:
        workers: addresses, host:port, the chief's first; none for a process on its own.
        index: of this process.

    Examples:
        >>> workers = dv.distribution.Cluster(("host1:2222", "host2:2222"), index=1)
        >>> workers.is_chief, workers.name
        (False, 'worker 1 of 2')
        >>> workers.tf_config()
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {...}}'
    """

    workers: tuple[str, ...] = field(default=())
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the workers share: checkpoints, logs, exports."""
        return self.index == 0

    @property
    def name(self) -> str:
        """What messages call the process."""
        return f"worker {self.index} of {len(self.workers)}" if self.workers else "this process"

    def tf_config(self) -> str:
        """The value of TF_CONFIG for this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


class WorkerLost(RuntimeError):
    """Another worker ended in mid-training, so that this one cannot go on.

    Args:
        here: this process.
        error: what TensorFlow said.
    """

    def __init__(self, here: Cluster, error: Exception):
        super().__init__(
            f"{here.name} lost the others: one of them ended or cannot be reached "
            f"({type(error).__name__}). Start all of them again with the same command; with "
            f"keras.callbacks.BackupAndRestore they go on after the last finished epoch."
        )


def cluster() -> Cluster:
    """What TF_CONFIG says, or if it is not set, that this process is on its own.

    Raises:
        ValueError: if TF_CONFIG cannot be understood.

    Examples:
        >>> dv.distribution.cluster()  # without TF_CONFIG
        Cluster(workers=(), index=0)
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return Cluster()
    example = Cluster(("host1:2222", "host2:2222"), 0).tf_config()
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        chief, workers = _addresses(jobs, "chief"), _addresses(jobs, "worker")
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"TF_CONFIG cannot be understood ({type(error).__name__}: {error}); expected such as "
            f"{example}, got {text!r}"
        ) from error
    everyone = (*chief, *workers)
    if kind not in ("chief", "worker"):
        raise ValueError(
            f"TF_CONFIG names this process a {kind!r}; only workers and a chief train together"
        )
    place = index + (len(chief) if kind == "worker" else 0)
    if not 0 <= place < (len(everyone) if kind == "worker" else len(chief)):
        raise ValueError(
            f"TF_CONFIG calls this process {kind} {index}, but lists {len(chief)} chiefs and "
            f"{len(workers)} workers"
        )
    return Cluster(everyone, place)


def slurm_cluster(port: int = 12345) -> Cluster:
    """The cluster of a Slurm job step with one task on each node, from Slurm's environment.

    The names of the nodes are read from SLURM_STEP_NODELIST or SLURM_JOB_NODELIST, such as
    `node[01-03,7],gpu1`.

    Args:
        port: at which the workers listen, the same on all nodes.

    Raises:
        ValueError: outside of a job step, or if there is more than one task per node.

    Examples:
        >>> import os
        >>> os.environ.update(SLURM_JOB_NODELIST="node[01-03]", SLURM_PROCID="2")  # as Slurm does
        >>> workers = dv.distribution.slurm_cluster()
        >>> workers.workers, workers.index
        (('node01:12345', 'node02:12345', 'node03:12345'), 2)
        >>> os.environ["TF_CONFIG"] = workers.tf_config()
    """
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST")
    task, tasks = os.environ.get("SLURM_PROCID"), os.environ.get("SLURM_NTASKS")
    if not nodes or task is None:
        raise ValueError(
            "this is no step of a Slurm job: SLURM_JOB_NODELIST and SLURM_PROCID are not set; "
            "start it with srun"
        )
    hosts = expand_nodes(nodes)
    if tasks is not None and int(tasks) != len(hosts):
        raise ValueError(
            f"{tasks} tasks on {len(hosts)} nodes: give each node one task, with all of its GPUs "
            f"(srun --ntasks-per-node=1)"
        )
    return Cluster(tuple(f"{host}:{port}" for host in hosts), int(task))


def expand_nodes(text: str) -> list[str]:
    """Names of nodes from Slurm's short form: `a[1-2,05],b` is a1, a2, a05, b.

    Raises:
        ValueError: if a bracket does not close, or for what is no range.
    """
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise ValueError(f"the list of nodes {text!r} has a bracket that does not close")
    return [node for part in parts for node in _expand_node(part)]


def _expand_node(part: str) -> list[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    inside, _, tail = rest.partition("]")
    names = []
    for piece in inside.split(","):
        first, dash, last = piece.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{piece!r} in the list of nodes is neither a number nor a range")
        width = len(first)
        for number in range(int(first), int(last or first) + 1):
            names.extend(_expand_node(f"{head}{number:0{width}d}{tail}"))
    return names


def _addresses(jobs: dict[str, list[str]], name: str) -> tuple[str, ...]:
    addresses = jobs.get(name, [])
    if not isinstance(addresses, list) or not all(isinstance(a, str) for a in addresses):
        raise ValueError(f"the {name}s must be a list of host:port")
    return tuple(addresses)
