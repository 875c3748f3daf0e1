"""State that TensorFlow's checkpoints hold as Keras's own files do."""

from typing import Any


class Checkpointed:
    """A Keras layer or model whose whole state a `tf.train.Checkpoint` saves and restores.

    By itself TensorFlow does not see the layers in Keras's lists, nor random generators: a
    checkpoint is written without them, and no error tells.
    """

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)  # type: ignore[misc]
        if save_type != "checkpoint":
            return children
        layers = {f"layer-{n}": layer for n, layer in enumerate(self._layers)}  # type: ignore[attr-defined]
        generators = {
            f"seed-{n}": generator.state.value
            for n, generator in enumerate(self._seed_generators)  # type: ignore[attr-defined]
        }
        return {**children, **layers, **generators}
