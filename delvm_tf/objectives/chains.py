"""Persistent chains, kept as state of an objective."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.distribution import shares


class TakenChains(NamedTuple):
    """Chains taken out of a pool.

    Attributes:
        index: places in the pool of all chains taken, (chains,).
        own: those that this replica advances, (chains / replicas,).
        state: where this replica's are, (chains / replicas, ...).
    """

    index: tf.Tensor
    own: tf.Tensor
    state: tf.Tensor


class ChainPool(keras.layers.Layer):
    """Chains that go on from step to step.

    A step advances some of them: all in turn if the pool is no larger, otherwise a random choice.
    Under a distribution strategy every replica advances its share, and all of them then hold the
    whole pool, so that it is saved and restored as on one device.

    Args:
        size: chains in the pool.
        chains: chains that a step advances.
        restart: chance that one of these starts anew.
    """

    built: bool

    def __init__(self, size: int, chains: int, restart: float):
        super().__init__(autocast=False, name="chains")
        self.size = size
        self.chains = chains
        self.restart = restart

    def build_for(self, shape: tuple[int, ...], dtype: str) -> None:
        """Create the chains, none of which has started yet."""
        if self.built:
            return
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if self.chains % replicas:
            raise ValueError(
                f"chains={self.chains} cannot be shared among {replicas} replicas; choose a "
                f"multiple"
            )

        self.state = self.add_weight(
            name="state", shape=(self.size, *shape), dtype=dtype, initializer="zeros",
            trainable=False, autocast=False, aggregation="sum",
        )  # fmt: skip
        self.started = self.add_weight(
            name="started", shape=(self.size,), dtype="int32", initializer="zeros",
            trainable=False, autocast=False, aggregation="sum",
        )  # fmt: skip
        self.built = True

    def take(self, fresh: Callable[[tf.Tensor], tf.Tensor], seed: tf.Tensor) -> TakenChains:
        """This step's chains, those of them that begin at `fresh(number)`."""
        index = tf.range(self.size)
        if self.size > self.chains:
            lots = tf.random.stateless_uniform((self.size,), noise.fold(seed, 0))
            index = tf.math.top_k(lots, self.chains, sorted=False).indices
        replica, replicas = shares.replica()
        share = self.chains // replicas
        own = index[replica * share : (replica + 1) * share]

        new = fresh(tf.constant(share))
        begins = tf.gather(self.started.value, own) == 0
        if self.restart:
            begins |= noise.uniform((share,), noise.fold(seed, 1)) < self.restart
        begins = tf.reshape(begins, (-1,) + (1,) * (new.shape.rank - 1))
        state = tf.where(begins, new, tf.gather(self.state.value, own))
        return TakenChains(index, own, tf.ensure_shape(state, (share, *new.shape[1:])))

    def put(self, taken: TakenChains, state: tf.Tensor) -> None:
        """Put chains back after they moved; those that ran away stay where they were."""
        axes = list(range(1, state.shape.rank))
        finite = tf.reduce_all(tf.math.is_finite(state), axis=axes, keepdims=True)
        state = tf.where(finite, state, taken.state)
        self._assign(self.state, taken, state)
        self._assign(self.started, taken, tf.ones_like(taken.own))

    def _assign(self, variable: Any, taken: TakenChains, values: tf.Tensor) -> None:
        """Set the replica's own entries.

        Replicas' values are summed: each gives what is its own, the first also what stays.
        """
        stays = tf.tensor_scatter_nd_update(
            variable.value,
            taken.index[:, tf.newaxis],
            tf.zeros((self.chains, *variable.shape[1:]), variable.dtype),
        )
        stays = tf.where(tf.equal(shares.replica()[0], 0), stays, tf.zeros_like(stays))
        variable.assign(tf.tensor_scatter_nd_update(stays, taken.own[:, tf.newaxis], values))
