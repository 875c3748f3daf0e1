"""What a training step computes, counted in its graph: no clock, so the same on any machine."""

import importlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import delvm_tf as dv
from delvm_tf.curvature.cost import multiplications

BATCH, SHAPE = 10, (8, 8, 1)
PRODUCTS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
# Operations that compute nothing, or that TensorFlow fuses with the convolution before them.
FREE = (
    "Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient",
    "EnsureShape", "BiasAdd", "Relu",
)  # fmt: skip


@pytest.fixture(scope="module")
def steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        patch.delitem(sys.modules, "steps", raising=False)
        yield importlib.import_module("steps")


@pytest.fixture(scope="module")
def default_step(steps):
    """The default training step of two layers, one probe and one tangent."""
    model = steps.make_model(two_layers(), "auto")
    assert model.objective.plan(model).probe_count == 1
    return counted(steps.training_step(model), steps.random_inputs(SHAPE, BATCH))


def two_layers(**arguments):
    return dv.networks.cnn((16, 16), 5, seed=0, input_shape=SHAPE, **arguments)


def live_operations(step, x):
    """The operations of a step's graph on which its results or its effects depend."""
    graph = step.get_concrete_function(x).graph
    waiting = [t.op for t in graph.outputs] + list(graph.control_outputs)
    found = {}
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found[op.name] = op
            waiting += [t.op for t in op.inputs] + list(op.control_inputs)
    return list(found.values())


def product(op):
    """Multiplications of a convolution or one of its two gradients."""
    if op.type == "Conv2D":
        result, kernel = op.outputs[0].shape, op.inputs[1].shape
    elif op.type == "Conv2DBackpropFilter":
        result, kernel = op.inputs[2].shape, op.outputs[0].shape
    else:
        result, kernel = op.inputs[2].shape, op.inputs[1].shape
    return math.prod(result) * math.prod(kernel[:3])


def counted(step, x):
    operations = live_operations(step, x)
    convolutions = [op for op in operations if op.type in PRODUCTS]
    hidden = math.prod((len(x), *SHAPE[:2], 16))
    passes = [
        op.type
        for op in operations
        if op.type not in (*PRODUCTS, *FREE)
        and any(t.shape.is_fully_defined() and t.shape.num_elements() == hidden for t in op.outputs)
    ]
    return SimpleNamespace(
        multiplications=sum(map(product, convolutions)) / len(x), convolutions=convolutions,
        passes=passes,
    )  # fmt: skip


def layers_of(network):
    """Multiplications of the first layer and of the second, for one example."""
    count = multiplications(network)
    return count.forward - count.tangent, count.tangent


def test_the_autoencoder_goes_through_each_layer_six_times(steps):
    """Encoder and decoder, each forward and for both gradients, but not for that in x."""
    found = counted(steps.autoencoder_step(two_layers()), steps.random_inputs(SHAPE, BATCH))
    first, second = layers_of(two_layers())
    assert found.multiplications == 5 * first + 6 * second


def test_the_default_step_goes_through_each_layer_nine_times(default_step):
    """Value, gradient and one tangent, each forward and for both gradients.

    At the first layer the gradients in x and in the probe are not needed.
    """
    first, second = layers_of(two_layers())
    assert default_step.multiplications == 7 * first + 9 * second


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_gradients_of_convolutions_have_a_padding_that_onednn_knows(padding, steps):
    """With explicit padding another implementation runs, at three times the CPU time."""
    network = keras.Sequential(
        [keras.Input(SHAPE)]
        + [
            keras.layers.Conv2D(16, size, padding=padding, activation="relu")
            for size in (3, (2, 4))
        ]
    )
    model = steps.make_model(network, "hutchinson")
    found = counted(steps.training_step(model), steps.random_inputs(SHAPE, BATCH))
    gradients = [op for op in found.convolutions if op.type != "Conv2D"]
    assert len(gradients) >= 6
    assert {op.get_attr("padding") for op in gradients} <= {b"SAME", b"VALID"}


def test_the_default_step_passes_over_the_hidden_maps_no_more_often_than_it_must(default_step):
    """Memory, not arithmetic, is the price of whatever is not a convolution."""
    # Ten gates (a ReLU's slope, of value, gradient and tangent in both layers and on the way back)
    # and the square of the tangents with its gradient.
    assert sorted(default_step.passes) == ["Mul"] + ["ReluGrad"] * 10 + ["Square"]
