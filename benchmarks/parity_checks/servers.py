"""Servers with TensorFlow Serving's interfaces, which run real SavedModels and fail on demand."""

import base64
import json
import ssl
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import tensorflow as tf

DTYPES = {
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "bool": "DT_BOOL",
    "string": "DT_STRING",
    "int32": "DT_INT32",
}

REFUSED = (
    tf.errors.InvalidArgumentError, AttributeError, KeyError, OverflowError, TypeError, ValueError,
)  # fmt: skip


class Trouble:
    """What goes wrong next: a list of faults that requests use up; and what the last one said."""

    def __init__(self):
        self.faults, self.requests, self.headers = [], 0, {}

    def next(self):
        self.requests += 1
        return self.faults.pop(0) if self.faults else None


def tensor_info(name, spec):
    sizes = [-1 if s is None else s for s in spec.shape]
    shape = {"dim": [{"size": str(s), "name": ""} for s in sizes], "unknown_rank": False}
    return {"dtype": DTYPES[spec.dtype.name], "tensor_shape": shape, "name": f"{name}:0"}


class RestServer:
    """REST, with the answers of TensorFlow Serving, columnar format."""

    def __init__(self, folder, model="ecg", certificate=None):
        self.served = tf.saved_model.load(str(folder)).signatures
        self.trouble, self.model = Trouble(), model
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, code, content, headers=None):
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                outer.trouble.headers = self.headers
                fault = outer.trouble.next()
                if fault is not None:
                    return self.answer(*fault)
                if not self.path.startswith(f"/v1/models/{outer.model}"):
                    return self.answer(404, {"error": f"Servable not found: {self.path}"})
                if self.path.endswith("/metadata"):
                    return self.answer(200, outer.metadata())
                states = [{"version": "1", "state": "AVAILABLE"}]
                return self.answer(200, {"model_version_status": states})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fault = outer.trouble.next()
                if fault == "slow":
                    time.sleep(1.5)
                elif fault == "stall":  # after the first bytes of the answer
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
                    time.sleep(1.5)
                    return None
                elif fault == "drop":
                    self.close_connection = True
                    return None
                elif fault is not None:
                    return self.answer(*fault)
                return self.answer(*outer.predict(body))

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        scheme = "http" if certificate is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self.http.server_port}"

    def metadata(self):
        signatures = {
            name: {
                "inputs": {
                    n: tensor_info(n, s) for n, s in f.structured_input_signature[1].items()
                },
                "outputs": {n: tensor_info(n, s) for n, s in f.structured_outputs.items()},
                "method_name": "tensorflow/serving/predict",
            }
            for name, f in self.served.items()
        }
        return {"metadata": {"signature_def": {"signature_def": signatures}}}

    def predict(self, body):
        try:
            function = self.served[body["signature_name"]]
            specs = function.structured_input_signature[1]
            outputs = function(**{
                name: tf.constant(
                    [base64.b64decode(v["b64"]) for v in value] if name == "image_bytes" else value,
                    specs[name].dtype,
                )
                for name, value in body["inputs"].items()
            })  # fmt: skip
        except REFUSED as error:
            return 400, {"error": str(error)}
        outputs = {
            n: (
                np.char.decode(v.numpy().astype("S")) if v.dtype == tf.string else v.numpy()
            ).tolist()
            for n, v in outputs.items()
        }
        return 200, {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class GrpcServer:
    """gRPC, with the messages of tensorflow-serving-api."""

    def __init__(self, folder, model="ecg", certificate=None):
        import grpc
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        served = tf.saved_model.load(str(folder)).signatures
        metagraph = tf.compat.v1.saved_model.load(
            tf.compat.v1.Session(graph=tf.Graph()), ["serve"], str(folder)
        )
        self.trouble = trouble = Trouble()

        class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
            def fail(self, context, request):
                trouble.headers = dict(context.invocation_metadata())
                fault = trouble.next()
                if request.model_spec.name != model:
                    fault = ("NOT_FOUND", f"Servable not found: {request.model_spec.name}")
                if fault == "slow":
                    time.sleep(1.5)
                elif fault is not None:
                    context.abort(getattr(grpc.StatusCode, fault[0]), fault[1])

            def GetModelMetadata(self, request, context):  # noqa: N802
                self.fail(context, request)
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                found = get_model_metadata_pb2.SignatureDefMap()
                for name, signature in metagraph.signature_def.items():
                    found.signature_def[name].CopyFrom(signature)
                response.metadata["signature_def"].Pack(found)
                return response

            def Predict(self, request, context):  # noqa: N802
                self.fail(context, request)
                inputs = {n: tf.constant(tf.make_ndarray(v)) for n, v in request.inputs.items()}
                try:
                    outputs = served[request.model_spec.signature_name](**inputs)
                except tf.errors.InvalidArgumentError as error:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                response = predict_pb2.PredictResponse()
                for name, value in outputs.items():
                    response.outputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
                return response

        self.grpc = grpc.server(futures.ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), self.grpc)
        if certificate is None:
            port = self.grpc.add_insecure_port("127.0.0.1:0")
        else:
            public, private = (path.read_bytes() for path in certificate)
            credentials = grpc.ssl_server_credentials([(private, public)])
            port = self.grpc.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{port}"
        self.grpc.start()

    def close(self):
        self.grpc.stop(None)
