"""State that TensorFlow's checkpoints hold as Keras's own files do."""

from typing import Any


class Checkpointed:
    """A Keras layer or model whose whole state a `tf.train.Checkpoint` saves and restores.

    By itself TensorFlow does not see the layers in Keras's lists, nor random generators: a
    checkpoint is written without them, and no error tells.
    """

    _layers: list[Any]
    _seed_generators: list[Any]

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # Of the Keras class beside this one, of which the type checker knows nothing.
        children = super()._trackable_children(save_type, **kwargs)  # type: ignore[misc]
        if save_type != "checkpoint":
            return children
        layers = {f"layer-{n}": layer for n, layer in enumerate(self._layers)}
        generators = {
            f"seed-{n}": generator.state.value for n, generator in enumerate(self._seed_generators)
        }
        return {**children, **layers, **generators}
