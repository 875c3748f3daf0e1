"""Taking back a build that failed, which Keras leaves half done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def built_or_untouched(model: Any) -> Iterator[None]:
    """While the model is built: if that fails, its layers are again as unbuilt as they were.

    Of a Sequential network that cannot take some inputs Keras keeps the shape of these, and the
    layers up to the one that failed; other inputs would be refused from then on.
    """
    unbuilt = [layer for layer in model._flatten_layers() if not layer.built]
    chains = {
        layer: list(layer._layers) for layer in unbuilt if isinstance(layer, keras.Sequential)
    }
    try:
        yield
    except BaseException:  # an interruption leaves it half done too
        for layer in unbuilt:
            if layer in chains:
                layer._layers, layer._functional = chains[layer], None
            if isinstance(layer, keras.Model):
                layer.built = False
            elif layer.built:
                fresh = type(layer).from_config(layer.get_config())
                # Not as Keras sets attributes, which would keep a copy.
                object.__setattr__(layer, "__dict__", fresh.__dict__)
        raise
