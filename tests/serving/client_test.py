"""The client against servers that speak TensorFlow Serving's REST and gRPC."""

import numpy as np
import pytest
import tensorflow as tf
from servers import GrpcServer, RestServer

import delvm_tf as dv
from delvm_tf.serving import (
    Client,
    RequestRefusedError,
    ServerError,
    ServerUnavailableError,
)

BUSY = {"rest": (503, {"error": "busy"}), "grpc": ("UNAVAILABLE", "busy")}
REFUSED = {"rest": (400, {"error": "no good"}), "grpc": ("INVALID_ARGUMENT", "no good")}
BROKEN = {"rest": (500, {"error": "broken"}), "grpc": ("INTERNAL", "broken")}


@pytest.fixture(scope="module")
def detector():
    x = np.random.default_rng(0).integers(0, 256, size=(60, 4, 5, 1)).astype(np.float32)
    model = dv.DELVM(dv.networks.cnn((2,), 3, seed=0), scale=0.7)
    model.adapt(x)
    return dv.AnomalyDetector(model).fit(x), x


@pytest.fixture(scope="module")
def servers(detector, tmp_path_factory):
    folder = dv.export_saved_model(detector[0], tmp_path_factory.mktemp("m"), warmup=())
    made = {"rest": RestServer(folder), "grpc": GrpcServer(folder)}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture(params=["rest", "grpc"])
def server(request, servers):
    made = servers[request.param]
    made.kind = request.param
    made.trouble.faults.clear()
    return made


@pytest.fixture
def client(server):
    with Client(server.address, "ecg", backoff=0.01, batch_size=25) as made:
        made.wait_until_ready(5)
        yield made


def test_it_returns_what_the_detector_computes(client, detector):
    own, x = detector
    outputs = client.predict(x)
    np.testing.assert_allclose(outputs["anomaly_score"], own.anomaly_score(x), rtol=1e-5)
    np.testing.assert_array_equal(outputs["is_anomaly"], own.is_anomaly(x))
    np.testing.assert_allclose(outputs["features"], own.model.features(x), rtol=1e-5, atol=1e-5)
    assert outputs["is_anomaly"].dtype == bool
    assert outputs["anomaly_score"].dtype == np.float32
    for signature, name in (("energy", "energy"), ("reconstruct", "reconstruction")):
        expected = np.asarray(getattr(own.model, signature)(x))
        np.testing.assert_allclose(client.predict(x, signature)[name], expected, rtol=1e-4)


def test_images_travel_as_bytes(client, detector):
    own, x = detector
    images = [tf.io.encode_png(image.astype(np.uint8)).numpy() for image in x[:30]]
    outputs = client.predict(images, "encoded_images")
    np.testing.assert_allclose(outputs["anomaly_score"], own.anomaly_score(x[:30]), rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((2, 4, 5, 1), np.inf), "NaN or infinite"),
        (np.zeros((0, 4, 5, 1)), "empty"),
        (np.zeros((4, 5, 1)), "single example"),
        (np.zeros((1, 5, 4, 1)), r"expects x of shape \(batch, 4, 5, 1\)"),
    ],
)
def test_bad_rows_are_not_sent(client, server, x, message):
    client.signatures()
    before = server.trouble.requests
    with pytest.raises(ValueError, match=message):
        client.predict(x)
    assert server.trouble.requests == before


def test_a_busy_server_is_asked_again(client, server, detector):
    client.signatures()
    server.trouble.faults[:] = [BUSY[server.kind]] * 3
    before = server.trouble.requests
    assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2
    assert server.trouble.requests == before + 4
    server.trouble.faults[:] = [BUSY[server.kind]] * 4
    with pytest.raises(ServerUnavailableError, match=r"busy.*after 4 attempts"):
        client.predict(detector[1][:2])
    assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2


@pytest.mark.parametrize(
    ("faults", "error"), [(REFUSED, RequestRefusedError), (BROKEN, ServerError)]
)
def test_what_is_refused_or_broken_is_not_asked_again(client, server, detector, faults, error):
    client.signatures()
    server.trouble.faults[:] = [faults[server.kind]]
    before = server.trouble.requests
    with pytest.raises(error, match=r"no good|broken"):
        client.predict(detector[1][:2])
    assert server.trouble.requests == before + 1
    assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2


def test_a_slow_server_is_not_waited_for(server, detector):
    with Client(server.address, "ecg", timeout=0.5) as client:
        client.signatures()
        server.trouble.faults[:] = ["slow"]
        with pytest.raises(TimeoutError, match=r"within 0\.5 s"):
            client.predict(detector[1][:1])


def test_an_unknown_model_or_signature_is_named(client, server):
    with pytest.raises(ValueError, match=r"unknown signature 'scores'; the server has .*energy"):
        client.predict(np.zeros((1, 4, 5, 1)), "scores")
    with (
        Client(server.address, "other") as other,
        pytest.raises(RequestRefusedError, match="Servable not found"),
    ):
        other.signatures()


def test_no_server_is_said(server):
    address = "127.0.0.1:1" if server.kind == "grpc" else "http://127.0.0.1:1"
    with Client(address, "ecg", retries=1, backoff=0.01, timeout=5) as client:
        with pytest.raises(ServerUnavailableError, match="after 2 attempts"):
            client.signatures()
        with pytest.raises(TimeoutError, match=r"not ready within 0\.1 s"):
            client.wait_until_ready(0.1)


@pytest.mark.parametrize(
    "answer", [b"", b"[1]", b"<html>", b'{"outputs": {}}', b'{"outputs": {"energy": ["a"]}}', b"{}"]
)
def test_answers_over_http_that_are_none_are_said(servers, answer):
    server = servers["rest"]
    with Client(server.address, "ecg") as client:
        client.signatures()
        server.trouble.faults[:] = [(200, answer)]
        with pytest.raises(ServerError):
            client.predict(np.zeros((1, 4, 5, 1)))


@pytest.mark.parametrize(
    "settings", [{"timeout": 0}, {"retries": -1}, {"backoff": -1.0}, {"batch_size": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="must be positive"):
        Client("http://localhost:1", "m", **settings)
