"""Ways in which a served detector can be asked: functions of a case and a request."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from pyarrow import parquet

import delvm_tf as dv
from delvm.command import main as command
from delvm_tf.schema import Number
from delvm_tf.serving.signatures import DECIDE, DECIDE_TABLE, DEFAULT, TABLE
from parity_checks.cases import REBUILT, SET, Case, Request, Way
from parity_checks.servers import GrpcServer, RestServer

HERE = Path(__file__).parent
C_PROGRAM = HERE.parents[1] / "docs" / "howto" / "embedding.c"
DECIDING = {DECIDE: DEFAULT, DECIDE_TABLE: TABLE}  # for those who pass a threshold otherwise
NOT_GIVEN = {"score": {"baseline"}}  # by a way, of the outputs of what it is asked


class NotAskedError(Exception):
    """This way does not answer such a request."""


def python_loader(case: Case, request: Request) -> dict[str, Any]:
    """`dv.serving.load`, which proves the files first."""
    return _predicted(dv.serving.load(request.folder), case, request)


def rest(case: Case, request: Request) -> dict[str, Any]:
    """The client over HTTP and JSON, with a server in this process."""
    return _asked(RestServer, case, request)


def grpc(case: Case, request: Request) -> dict[str, Any]:
    """The client over gRPC, with a server in this process."""
    return _asked(GrpcServer, case, request)


def _asked(server: Any, case: Case, request: Request) -> dict[str, Any]:
    running = server(request.folder)
    try:
        with dv.serving.Client(running.address, "ecg", timeout=120) as client:
            return _predicted(client, case, request)
    finally:
        running.close()


def _predicted(model: Any, case: Case, request: Request) -> dict[str, Any]:
    signature = DECIDING.get(request.signature, request.signature)
    return model.predict(case.rows, signature, threshold=request.threshold)


def onnx(case: Case, request: Request) -> dict[str, Any]:
    """A file of ONNX in ONNX Runtime."""
    import onnxruntime

    if request is case.requests[SET]:
        raise NotAskedError("an ONNX file is made of the detector and not of its SavedModel")
    path = case.folder.with_name(f"{request.signature}.onnx")
    dv.export_onnx(case.detector, path, request.signature, case.schema)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, request.inputs), strict=True))
    if request.threshold is not None:  # which an ONNX graph does not give back
        found["threshold"] = request.inputs["threshold"]
    return found


def score(case: Case, request: Request) -> dict[str, Any]:
    """`delvm score`: files of rows to a table."""
    if request is case.requests.get(REBUILT):
        raise NotAskedError("a table of scores has what is expected as explanations")
    given, output = case.folder.with_name("rows.npz"), case.folder.with_name("scores.parquet")
    if case.schema is not None:
        given = given.with_suffix(".csv")
        case.rows.to_csv(given, index=False)
    else:
        np.savez(given, x=case.rows)
    if request.explains and case.schema is None and case.rows.ndim > 2:
        raise NotAskedError("files tell columns, and images have none")
    count = case.rows.shape[1] if request.explains else 0
    options = ["--explain", str(count)] if count else ["--p-values"]
    options += ["--features"] if "features" in request.expected else []
    options += [] if request.threshold is None else [f"--threshold={request.threshold!r}"]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        status = command(["score", str(request.folder), str(given), "-o", str(output), *options])
    if status:
        raise RuntimeError(f"delvm score failed: {said.getvalue()}")
    found = parquet.read_table(output).to_pydict()
    return _of_reasons(case, found, count) if count else found


def _of_reasons(case: Case, found: dict[str, Any], count: int) -> dict[str, Any]:
    """The outputs of the signature that explains, of columns that tell all reasons."""
    names = [str(k) for k in range(count)] if case.schema is None else [*case.schema.names]
    reasons = np.array([found[f"reason_{k + 1}"] for k in range(count)]).T
    places = np.argsort(np.vectorize(names.index)(reasons), axis=1)

    def ordered(what: str) -> np.ndarray:
        values = np.array([found[f"{what}_{k + 1}"] for k in range(count)]).T
        return np.take_along_axis(values, places, axis=1)

    contributions = ordered("contribution")
    if case.schema is None:
        outputs = {"contributions": contributions}
        if "expected_1" in found:
            outputs["reconstruction"] = ordered("expected")
        return outputs
    outputs = {}
    expected = ordered("expected")
    for k, (name, column) in enumerate(zip(case.schema.inputs, case.schema.columns, strict=True)):
        outputs[f"contribution_{name}"] = contributions[:, k]
        values = expected[:, k]
        if isinstance(column, Number):
            dates = column.date == "date"
            values = _seconds(values) if dates else values.astype(float)
        outputs[f"expected_{name}"] = values
    return outputs


def _seconds(dates: np.ndarray) -> np.ndarray:
    """Seconds since 1970 of dates as text, NaN where there is none."""
    told = np.array([date or "NaT" for date in dates], "datetime64[s]")
    return np.where(np.isnat(told), np.nan, told.astype(np.int64).astype(float))


class InAnotherProcess:
    """Answers of a program that asks for all of them at once.

    Args:
        program: of this folder.
        way: its first argument of each job.
        folder: of the files in between.
        python: the interpreter.
    """

    def __init__(self, program: str, way: str, folder: Path, python: str = sys.executable):
        self.program, self.way, self.folder, self.python = program, way, folder, python
        self._answers: dict[tuple[Path, str], Path] = {}

    def ask(self, cases: Sequence[Case]) -> None:
        """Run the program for all requests of all cases.

        Raises:
            RuntimeError: if it fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        jobs = []
        for case in cases:
            for request in case.requests.values():
                stem = self.folder / str(len(jobs))
                given = self._written(stem, case, request)
                wanted = Path(f"{stem}.out.npz")
                jobs.append([
                    self.way, str(request.folder), request.signature, str(given), str(wanted)
                ])  # fmt: skip
                self._answers[request.folder, request.signature] = wanted
        done = subprocess.run(
            [self.python, str(HERE / self.program), json.dumps(jobs)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.program} failed: {done.stderr[-3000:]}")

    def _written(self, stem: Path, case: Case, request: Request) -> Path:
        if self.program == "pipeline.py":
            rows = case.rows.tolist() if case.schema is None else _cells(case.rows)
            content = {"rows": rows, "threshold": request.threshold}
            stem.with_suffix(".json").write_text(json.dumps(content))
            return stem.with_suffix(".json")
        texts = {n: v.astype("U") if v.dtype == object else v for n, v in request.inputs.items()}
        np.savez(stem.with_suffix(".in.npz"), **texts)
        return stem.with_suffix(".in.npz")

    def __call__(self, case: Case, request: Request) -> dict[str, Any]:
        """The answer to a request."""
        with np.load(self._answers[request.folder, request.signature]) as found:
            return {n: v.astype(object) if v.dtype.kind == "U" else v for n, v in found.items()}


def _cells(table: Any) -> list[dict[str, Any]]:
    """Rows as JSON has them; dates are marked."""

    def plain(value: Any) -> Any:
        if hasattr(value, "isoformat"):
            return {"date": value.isoformat()}
        return None if value is None or value != value else value

    records = table.astype(object).to_dict("records")
    return [{name: plain(value) for name, value in record.items()} for record in records]


class InC:
    """Answers of the C program of the documentation.

    Args:
        folder: where it is compiled.
    """

    def __init__(self, folder: Path):
        self.program = folder / "embedding"
        folder.mkdir(parents=True, exist_ok=True)
        library = Path(tf.sysconfig.get_lib())
        command = [
            shutil.which("cc") or "cc", "-std=gnu11", "-O1", str(C_PROGRAM),
            f"-I{tf.sysconfig.get_include()}", f"-L{library}", "-l:libtensorflow_cc.so.2",
            "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{library}", "-lm", "-o",
            str(self.program),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the C program cannot be compiled: {done.stderr[-2000:]}")

    @staticmethod
    def missing() -> str | None:
        """What there is not for it, or None."""
        if shutil.which("cc") is None:
            return "there is no C compiler, cc, on the PATH"
        if not (Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2").exists():
            return "TensorFlow comes without libtensorflow_cc.so.2 here"
        return None

    def __call__(self, case: Case, request: Request) -> dict[str, Any]:
        """Its answer to a request, from a table of text to one of text."""
        columns = [value.reshape(len(value), -1).T for value in request.inputs.values()]
        rows = zip(*(cells for column in columns for cells in column), strict=True)
        lines = [] if case.schema is None else ["\t".join(request.inputs)]
        lines += ["\t".join(map(_cell, row)) for row in rows]
        found = self.run([str(request.folder), request.signature], "\n".join(lines) + "\n")
        if found.returncode:
            raise RuntimeError(found.stderr[-2000:])
        names, *cells = (line.split("\t") for line in found.stdout.splitlines())
        told = dict(zip(names, np.array(cells, object).T, strict=True))
        return {n: _read(told, n, value) for n, value in request.expected.items()}

    def run(self, arguments: list[str], rows: str) -> Any:
        """Run it."""
        command = [str(self.program), *arguments]
        return subprocess.run(command, input=rows, capture_output=True, text=True, check=False)


def _read(told: dict[str, np.ndarray], name: str, like: np.ndarray) -> np.ndarray:
    """An output of the C program as an array of the shape and kind of another."""
    if like.dtype == object:
        return told[name]
    if like.ndim == 1:
        values = told[name].astype(float)
        return values == 1 if like.dtype == bool else values
    width = like[0].size
    assert f"{name}_{width + 1}" not in told
    parts = [told[f"{name}_{k + 1}"].astype(float) for k in range(width)]
    return np.stack(parts, axis=1).reshape(like.shape)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else repr(float(value))


def ways(cases: Sequence[Case], folder: Path, beam: str | None = None) -> dict[str, Way]:
    """All ways that there are here, by name.

    Args:
        cases: that will be asked for.
        folder: of temporary files.
        beam: an interpreter that has Apache Beam.
    """
    eager = InAnotherProcess("bare.py", "eager", folder / "eager")
    session = InAnotherProcess("bare.py", "session", folder / "session")
    made: dict[str, Way] = {
        "TensorFlow": eager, "session": session, "load": python_loader, "REST": rest, "gRPC": grpc
    }  # fmt: skip
    if InC.missing() is None:
        made["C"] = InC(folder / "c")
    made |= {"ONNX": onnx, "score": score}
    if beam is not None:
        made["Beam"] = InAnotherProcess("pipeline.py", "beam", folder / "beam", beam)
    for way in made.values():
        if isinstance(way, InAnotherProcess):
            way.ask(cases)
    return made
