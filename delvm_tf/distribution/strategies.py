"""Strategies of `tf.distribute` by name."""

import os

import tensorflow as tf

from delvm_tf.distribution.cluster import cluster

NAMES = ("auto", "one", "mirrored", "multi_worker", "tpu")
"""Names that `strategy` knows, and explains.

Examples:
    >>> dv.distribution.NAMES
    ('auto', 'one', 'mirrored', 'multi_worker', 'tpu')
"""


def strategy(name: str = "auto", devices: list[str] | None = None) -> tf.distribute.Strategy:
    """A strategy for training; models made in its `scope()` train by plain `model.fit`.

    - `"auto"`: several workers if TF_CONFIG names them, else a TPU if there is one, else all GPUs
      if there are several, else the one device.
    - `"one"`: TensorFlow's default, the first GPU or the CPU.
    - `"mirrored"`: all GPUs of this machine, or all logical CPU devices; or those given.
    - `"multi_worker"`: one process per machine, named by TF_CONFIG, with all of its GPUs. Must come
      before TensorFlow does anything else.
    - `"tpu"`: the TPU of this machine or the one that TPU_NAME names.

    The batch of `fit` is the global one, which replicas share. On the same batch and seed all of
    them lead to the weights of a single device, but for rounding.

    Args:
        name: one of the above.
        devices: for `"mirrored"`, such as `["/gpu:0", "/gpu:1"]`.

    Raises:
        ValueError: for an unknown name, devices with another strategy than mirrored, or a TF_CONFIG
            that is missing or cannot be understood.
        RuntimeError: for several workers, if TensorFlow is already running.

    Examples:
        >>> with dv.distribution.strategy("mirrored").scope():
        ...     model = dv.DELVM(dv.networks.ffnn((4,)))
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, batch_size=32)
    """
    if name not in NAMES:
        raise ValueError(f"unknown strategy {name!r}; expected one of {', '.join(NAMES)}")
    if devices is not None and name != "mirrored":
        raise ValueError(f"devices are for the strategy 'mirrored', not for {name!r}")
    if name == "auto":
        name = _automatic()
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return _mirrored(devices or _local_devices())
    return _multi_worker() if name == "multi_worker" else _tpu()


def _automatic() -> str:
    if len(cluster().workers) > 1:
        return "multi_worker"
    if tf.config.list_physical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one"


def _local_devices() -> list[str]:
    gpus = tf.config.list_logical_devices("GPU")
    return [device.name for device in gpus or tf.config.list_logical_devices("CPU")]


def _mirrored(devices: list[str]) -> tf.distribute.Strategy:
    gpus = any("gpu" in device.lower() for device in devices)
    # TensorFlow sums over CPU devices by collectives whose keys begin anew in each strategy, so a
    # second model in the same process would meet those of the first. A plain sum has no keys.
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def _multi_worker() -> tf.distribute.Strategy:
    if not cluster().workers:
        raise ValueError(
            "the strategy 'multi_worker' needs TF_CONFIG, which names all workers and says which "
            "one this process is; set it, or start the workers with "
            "python trainers/train.py --workers 2"
        )
    gpus = tf.config.list_physical_devices("GPU")
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if gpus else kinds.RING
    )
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _tpu() -> tf.distribute.Strategy:
    if not (os.environ.get("TPU_NAME") or tf.config.list_physical_devices("TPU")):
        # Without a name the resolver asks the network, and waits minutes for an answer.
        raise ValueError("no TPU can be reached: this machine has none, and TPU_NAME is not set")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ValueError(f"no TPU can be reached: {error}") from error
    return tf.distribute.TPUStrategy(resolver)
