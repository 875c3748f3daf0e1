"""The client against servers that speak TensorFlow Serving's REST and gRPC."""

import shutil
import subprocess
import time

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
import urllib3
from parity_checks.servers import GrpcServer, RestServer

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
    return dv.AnomalyDetector(model, "mean_std").fit(x), x


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


def test_requests_to_a_busy_server_are_retried(client, server, detector):
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
def test_refused_or_failed_requests_are_not_retried(client, server, detector, faults, error):
    client.signatures()
    server.trouble.faults[:] = [faults[server.kind]]
    before = server.trouble.requests
    with pytest.raises(error, match=r"no good|broken"):
        client.predict(detector[1][:2])
    assert server.trouble.requests == before + 1
    assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2


@pytest.mark.parametrize(("kind", "fault"), [("rest", "slow"), ("rest", "stall"), ("grpc", "slow")])
def test_a_server_that_is_slow_or_stalls_is_not_waited_for(servers, detector, kind, fault):
    server = servers[kind]
    with Client(server.address, "ecg", timeout=0.5) as client:
        client.signatures()
        server.trouble.faults[:] = [fault]
        before = server.trouble.requests
        with pytest.raises(TimeoutError, match=r"within 0\.5 s"):
            client.predict(detector[1][:1])
        assert server.trouble.requests == before + 1


def test_connecting_is_not_retried_after_a_timeout(monkeypatch):
    tried = []

    def connect(connection):
        tried.append(connection)
        raise urllib3.exceptions.ConnectTimeoutError("late")

    monkeypatch.setattr("urllib3.connection.HTTPConnection.connect", connect)
    with Client("http://127.0.0.1:1", "ecg", backoff=0.01) as client:
        with pytest.raises(TimeoutError, match="did not answer within"):
            client.signatures()
        assert len(tried) == 1


def test_large_requests_are_retried(server, detector):
    image = tf.io.encode_png(detector[1][0].astype(np.uint8)).numpy()
    images = [image + bytes(5000)] * 100
    assert sum(map(len, images)) > 2**18  # what gRPC retries by default
    with Client(server.address, "ecg", backoff=0.01) as client:
        client.signatures()
        server.trouble.faults[:] = [BUSY[server.kind]]
        assert len(client.predict(images, "encoded_images")["is_anomaly"]) == 100


def test_without_retries_there_is_one_attempt(server):
    with Client(server.address, "ecg", retries=0) as client:
        server.trouble.faults[:] = [BUSY[server.kind]]
        with pytest.raises(ServerUnavailableError, match=r"busy.*after 1 attempts"):
            client.signatures()


@pytest.mark.parametrize("code", [408, 429, 502, 503, 504])
def test_all_temporary_errors_are_retried(servers, detector, code):
    server = servers["rest"]
    with Client(server.address, "ecg", backoff=0.01) as client:
        client.signatures()
        server.trouble.faults[:] = [(code, b"<html>"), "drop"]
        assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2


def test_the_server_sets_the_pause(servers):
    server = servers["rest"]
    with Client(server.address, "ecg", backoff=0) as client:
        server.trouble.faults[:] = [(429, {"error": "busy"}, {"Retry-After": "1"})]
        begin = time.monotonic()
        assert client.signatures()
        assert 1 <= time.monotonic() - begin < 5


def test_requests_for_quoted_names_are_retried(servers):
    server = servers["rest"]
    with Client(server.address, "one two", backoff=0.01) as client:
        server.trouble.faults[:] = [BUSY["rest"]]
        with pytest.raises(RequestRefusedError, match="Servable not found"):
            client.signatures()


def test_a_session_brings_headers_authentication_and_retries(servers, detector):
    server, session = servers["rest"], requests.Session()
    session.headers["X-Tenant"] = "ward 3"
    session.auth = ("anna", "secret")
    with Client(server.address, "ecg", backoff=0.01, session=session) as client:
        server.trouble.faults[:] = [BUSY["rest"]]
        client.signatures()
        assert server.trouble.headers["X-Tenant"] == "ward 3"
        assert server.trouble.headers["Authorization"].startswith("Basic ")
    assert session.get(f"{server.address}/v1/models/ecg").ok  # the client leaves it open


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("rest", (401, b"<html>no token")),
        ("rest", (403, b"<html>no token")),
        ("grpc", ("UNAUTHENTICATED", "no token")),
        ("grpc", ("PERMISSION_DENIED", "no token")),
    ],
)
def test_callers_without_permission_are_refused(servers, kind, fault):
    server = servers[kind]
    with Client(server.address, "ecg") as client:
        server.trouble.faults[:] = [fault]
        before = server.trouble.requests
        with pytest.raises(RequestRefusedError, match="no token"):
            client.signatures()
        assert server.trouble.requests == before + 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("a certificate needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "public.pem", folder / "private.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-out", str(paths[0]), "-keyout", str(paths[1]),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return paths


def test_http_with_tls_and_a_token(detector, certificate, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())  # the session overrides it
    folder = dv.export_saved_model(detector[0], tmp_path, warmup=())
    server, session = RestServer(folder, certificate=certificate), requests.Session()
    session.verify = str(certificate[0])
    session.headers["Authorization"] = "Bearer abc"
    with Client(server.address, "ecg", session=session) as client:
        assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2
        client._known = None
        client.signatures()
        assert server.trouble.headers["Authorization"] == "Bearer abc"
    begin = time.monotonic()
    with (
        Client(server.address, "ecg", backoff=5) as client,
        pytest.raises(ServerUnavailableError, match=r"cannot be trusted.*session\.verify"),
    ):
        client.signatures()
    assert time.monotonic() - begin < 4  # it is not retried
    server.close()


def test_grpc_with_tls_and_a_token(detector, certificate, tmp_path):
    folder = dv.export_saved_model(detector[0], tmp_path, warmup=())
    server = GrpcServer(folder, certificate=certificate)
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(certificate[0].read_bytes()),
        grpc.access_token_call_credentials("abc"),
    )
    with Client(server.address, "ecg", credentials=credentials) as client:
        assert len(client.predict(detector[1][:2])["is_anomaly"]) == 2
        assert server.trouble.headers["authorization"] == "Bearer abc"
    server.close()


@pytest.mark.parametrize(
    ("address", "settings", "message"),
    [
        ("http://h:1", {"credentials": grpc.ssl_channel_credentials()}, "give a session"),
        ("h:1", {"session": requests.Session()}, "give credentials"),
        ("h:1", {"retries": 5}, "at most 4 times"),
        ("http://", {}, "URL"),
    ],
)
def test_settings_that_do_not_apply_to_the_address_are_refused(address, settings, message):
    with pytest.raises(ValueError, match=message):
        Client(address, "m", **settings)


def test_an_unknown_model_or_signature_is_named(client, server):
    with pytest.raises(ValueError, match=r"unknown signature 'scores'; the server has .*energy"):
        client.predict(np.zeros((1, 4, 5, 1)), "scores")
    with (
        Client(server.address, "other") as other,
        pytest.raises(RequestRefusedError, match="Servable not found"),
    ):
        other.signatures()


def test_a_missing_server_is_reported(server):
    address = "127.0.0.1:1" if server.kind == "grpc" else "http://127.0.0.1:1"
    with Client(address, "ecg", retries=1, backoff=0.01, timeout=5) as client:
        with pytest.raises(ServerUnavailableError, match="after 2 attempts"):
            client.signatures()
        with pytest.raises(TimeoutError, match=r"not ready within 0\.1 s"):
            client.wait_until_ready(0.1)


@pytest.mark.parametrize(
    "answer", [b"", b"[1]", b"<html>", b'{"outputs": {}}', b'{"outputs": {"energy": ["a"]}}', b"{}"]
)
def test_invalid_answers_over_http_are_reported(servers, answer):
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
