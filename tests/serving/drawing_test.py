"""What served models with noise levels draw."""

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.servers import GrpcServer, RestServer

import delvm_tf as dv
from delvm_tf import noise
from delvm_tf.samplers import ProbabilityFlow
from delvm_tf.serving import Client
from delvm_tf.serving.drawing import SEED

STEPS = 3


def made(normalization="zscore", kind=dv.NoiseConditionalDELVM, **kwargs):
    x = np.random.default_rng(0).integers(0, 256, size=(60, 4, 4, 1)).astype("float32")
    network = dv.networks.level_cnn((3,), 3, activation="silu", seed=0)
    model = kind(network, normalization=normalization, noise_levels=4, **kwargs)
    model.adapt(x)
    draws = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + draws.normal(0, 0.1, size=weight.shape))
    return model, x


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model, x = made()
    folder = dv.export_saved_model(
        model, tmp_path_factory.mktemp("m"), drawing_steps=STEPS, warmup=(2,)
    )
    return model, x, folder


@pytest.fixture(scope="module")
def servers(exported):
    served = {"rest": RestServer(exported[2]), "grpc": GrpcServer(exported[2])}
    yield served
    for server in served.values():
        server.close()


@pytest.fixture(params=["saved", "rest", "grpc"])
def predict(request, exported):
    """A loaded model, or a client of a server."""
    if request.param == "saved":
        yield dv.serving.load(exported[2]).predict
        return
    server = request.getfixturevalue("servers")[request.param]
    with Client(server.address, "ecg", batch_size=3, timeout=120) as client:
        client.wait_until_ready(60)
        yield client.predict


def test_samples_follow_from_their_seeds_alone(predict, exported):
    model, *_ = exported
    together = predict([5, 0, -7, 9, 5], "sample")["samples"]
    assert together.shape == (5, 4, 4, 1)
    close = {"rtol": 1e-3, "atol": 0.05}  # of pixels up to 255
    np.testing.assert_allclose(predict([9, 5], "sample")["samples"], together[[3, 0]], **close)
    np.testing.assert_allclose(together[0], together[4], **close)
    assert not np.allclose(together[0], together[1], atol=1)
    seeds = noise.RowSeeds(tf.constant(SEED), tf.constant([5, 0, -7, 9, 5]))
    start = model.normalization.invert(ProbabilityFlow().begin(model, 5, seeds))
    np.testing.assert_allclose(model.sample(5, "flow", STEPS, initial=start), together, **close)


def test_denoising_is_that_of_the_model_at_the_level_of_each_row(predict, exported):
    model, x, _ = exported
    levels = np.array([0.1, 0.5, 1.0, 2.0], np.float32)
    found = predict(x[:4], "denoise", sigma=levels)["denoised"]
    for row, sigma in enumerate(levels):
        expected = model.denoise(x[row : row + 1], float(sigma))[0]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-2)
    same = predict(x[:4], "denoise", sigma=0.5)["denoised"]
    np.testing.assert_allclose(same, model.denoise(x[:4], 0.5), rtol=1e-4, atol=1e-2)


def test_known_values_stay_and_others_follow_from_the_seed(predict, exported):
    _, x, _ = exported
    mask = np.arange(4).reshape(4, 1, 1) < 2
    rows = np.where(mask, x[:4], np.nan)
    found = predict(rows, "inpaint", mask=mask, seeds=[1, 2, 3, 1])["inpainted"]
    np.testing.assert_array_equal(found[:, :2], x[:4, :2])
    assert np.isfinite(found).all()
    again = predict(rows[1:], "inpaint", mask=mask, seeds=[2, 8, 1])["inpainted"]
    np.testing.assert_allclose(again[[0, 2]], found[[1, 3]], rtol=1e-3, atol=0.5)
    assert not np.allclose(again[1], found[2], atol=1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, x: p(x, "denoise"), TypeError, "takes sigma besides x, got nothing"),
        (lambda p, x: p(x, "energy", sigma=1.0), TypeError, "energy takes nothing besides x"),
        (lambda p, x: p([0.5], "sample"), TypeError, "seeds must be integers"),
        (lambda p, x: p([2**40], "sample"), ValueError, "integers of 32 bits"),
        (lambda p, x: p(x, "denoise", sigma=[1, 2]), ValueError, "sigma must be one of each row"),
        (lambda p, x: p(x, "denoise", sigma=9.0), ValueError, "between 0.05 and 2"),
        (
            lambda p, x: p(x, "inpaint", mask=x, seeds=[1, 2, 3]),
            TypeError, "mask must be boolean, True where x is known",
        ),
        (
            lambda p, x: p(x, "inpaint", mask=x > 9, seeds=[1]),
            ValueError, "seeds must be one of each row",
        ),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(exported, call, error, message):
    predict = dv.serving.load(exported[2]).predict
    with pytest.raises(error, match=message):
        call(predict, exported[1][:3])


def test_graphs_refuse_what_does_not_fit_together(exported):
    signatures = tf.saved_model.load(str(exported[2])).signatures
    x = tf.constant(exported[1][:3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="one seeds for each row"):
        signatures["inpaint"](x=x, mask=x > 9, seeds=tf.constant([1, 2]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinite"):
        signatures["inpaint"](x=x * np.nan, mask=x > 9, seeds=tf.constant([1, 2, 3]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="no rows"):
        signatures["sample"](seeds=tf.constant([], tf.int32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="sigma must lie between"):
        signatures["denoise"](x=x, sigma=tf.constant([1.0, np.nan, 1.0]))


def test_the_card_tells_what_is_drawn(exported):
    card = dv.serving.load(exported[2]).card
    assert {"sample", "denoise", "inpaint"} <= {*card.signatures}
    assert card.signatures["sample"]["samples"]["shape"] == [None, 4, 4, 1]


def test_models_that_cannot_draw_are_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    plain = dv.DELVM(dv.networks.ffnn((3,)), normalization="none")
    plain.adapt(x)
    with pytest.raises(TypeError, match="an energy at each noise level"):
        dv.export_saved_model(plain, tmp_path, drawing_steps=5)
    with pytest.raises(ValueError, match="drawing_steps must be a positive integer, got 0"):
        dv.export_saved_model(plain, tmp_path, drawing_steps=0)


@pytest.mark.slow
def test_a_density_in_whitened_units_samples_and_denoises(tmp_path):
    model, x = made("zca", dv.DensityDELVM, largest_noise=10.0, smallest_noise=0.05)
    folder = dv.export_saved_model(model, tmp_path, drawing_steps=STEPS, warmup=())
    served = dv.serving.load(folder)
    assert "inpaint" not in served.card.signatures
    assert np.isfinite(served.predict([1, 2], "sample")["samples"]).all()
    found = served.predict(x[:3], "denoise", sigma=0.5)["denoised"]
    np.testing.assert_allclose(found, model.denoise(x[:3], 0.5), rtol=1e-3, atol=0.1)
