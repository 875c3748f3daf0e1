"""Training on several devices and machines."""

from delvm_tf.distribution.cluster import Cluster, cluster, slurm_cluster
from delvm_tf.distribution.strategies import NAMES, strategy

__all__ = ["NAMES", "Cluster", "cluster", "is_chief", "slurm_cluster", "strategy"]


def is_chief() -> bool:
    """Whether this process writes what all workers share; also true of a process on its own.

    Raises:
        ValueError: if TF_CONFIG cannot be understood.

    Examples:
        >>> if dv.distribution.is_chief():
        ...     model.save("model.keras")
    """
    return cluster().is_chief
