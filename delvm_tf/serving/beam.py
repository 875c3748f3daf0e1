"""Scoring in Apache Beam pipelines: on one machine, or on Dataflow, Flink or Spark.

Needs `delvm_tf[beam]`, and this library on the workers. Paths may be of any file system that Beam
knows, such as `gs://`.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

try:
    import apache_beam as beam
    from apache_beam.io import fileio
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
except ImportError as error:
    raise ImportError("pipelines need Apache Beam: pip install 'delvm_tf[beam]'") from error

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.streams.stream import TABLES, check_options, reader_of
from delvm_tf.serving.checks import checked_rows, checked_threshold, in_order, table_of
from delvm_tf.serving.files import rows_for
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.saved import ServedModel, folder_of, load
from delvm_tf.serving.signatures import DEFAULT, OF_TABLES, TABLE

REFUSED = "refused"
_LOG = logging.getLogger(__name__)


class Score(beam.PTransform):
    """Pairs (key, row) to pairs (key, outputs), the outputs by name as Python numbers and lists.

    A row with names (a dict, a named tuple, a pandas Series) is matched by the names of columns in
    the model's card, and an array is taken as it stands. The signature `table` takes rows with
    names alone, and their cells as they are: numbers, text, dates, and None where one is missing.

    Rows are scored in batches, one copy of the model in each worker process. Cost: as
    `ServedModel.predict`.

    Args:
        folder: of an exported model, or of one version of it.
        version: which one to take; the newest if None.
        signature: its name.
        outputs: names of those to keep; all if None.
        batch_size: rows of a batch at most.
        skip_refused: give refused rows as pairs (key, reason) in a second collection, and not
            stop; the result is then `{"scores": ..., "refused": ...}`.
        threshold: decides instead of the detector's own.

    Raises:
        ValueError: while the pipeline runs, for rows of a wrong shape, NaN and infinity, an
            unknown signature or output, and a threshold that is not finite, or with a signature
            without decisions.
        TypeError: while the pipeline runs, for rows that do not hold real numbers, or in a table
            something else than in training.
        FileNotFoundError: if there is no such model or version.
        DamagedModelError: if it is not whole.

    Examples:
        >>> pairs | Score("saved_models/ecg5000", outputs=["is_anomaly"])
    """

    def __init__(
        self,
        folder: str,
        version: int | None = None,
        signature: str = DEFAULT,
        outputs: Sequence[str] | None = None,
        batch_size: int = 256,
        skip_refused: bool = False,
        threshold: float | None = None,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.handler = _Handler(str(folder), version, signature, outputs, batch_size, threshold)
        self.skip_refused = skip_refused

    def expand(self, pairs: Any) -> Any:
        """The scores; Beam calls this."""
        check = beam.ParDo(_Check(self.handler, self.skip_refused))
        checked = pairs | "check" >> check.with_outputs(REFUSED, main="rows")
        scores = checked.rows | "score" >> RunInference(KeyedModelHandler(self.handler))
        return {"scores": scores, REFUSED: checked[REFUSED]} if self.skip_refused else scores


class ScoreFiles(beam.PTransform):
    """All rows of the files that fit a pattern to tables' rows: `file`, `row`, and the outputs.

    The outputs are those of `serving_default` that are one number a row, and `features`, a list,
    if asked for: what `delvm score` writes. Formats: those of `streams.stream`.
    Each file is read by one worker, a megabyte at a time.

    Args:
        pattern: of files, in the form of Beam's `MatchFiles`; a local one is made absolute.
        folder: of an exported model, or of one version of it.
        version: which one to take; the newest if None.
        features: give the features too.
        batch_size: rows of a batch at most.
        skip_damaged: give files that cannot be read, or not to their end, as pairs (file, reason)
            in a second collection, and not stop; the result is then
            `{"scores": ..., "refused": ...}`.
        table: what the columns of .csv and .parquet mean, if the names do not settle it. They are
            matched by the names in the model's card; others are left out, which the log says.
        threshold: decides instead of the detector's own.

    Raises:
        ValueError: for a threshold that is not finite, or of a model without decisions.
        ContentsError: while the pipeline runs, naming the file.
        BeamIOError: if no file fits the pattern.
    """

    def __init__(
        self,
        pattern: str,
        folder: str,
        version: int | None = None,
        features: bool = False,
        batch_size: int = 256,
        skip_damaged: bool = False,
        table: TableOptions | None = None,
        threshold: float | None = None,
    ):
        super().__init__()
        # Beam finds nothing for a bare "*.csv", and workers may run elsewhere.
        local = FileSystems.get_scheme(pattern) is None
        self.pattern = str(Path(pattern).expanduser().absolute()) if local else pattern
        self.folder = str(folder)
        self.version = version
        self.skip_damaged = skip_damaged
        card = card_of(self.folder, version)
        self.card = card
        self.table = table or TableOptions()
        self.outputs = columns(card, features)
        signature = TABLE if card.schema is not None and _is_of_tables(pattern) else DEFAULT
        if threshold is not None:
            checked_threshold(threshold, card.signatures[signature], signature)
        self.score = Score(
            folder, version, signature, self.outputs, batch_size, threshold=threshold
        )

    def expand(self, pipeline: Any) -> Any:
        """The rows of the table; Beam calls this."""
        read = beam.ParDo(_Read(self.card, self.skip_damaged, self.table))
        rows = (
            pipeline
            | "match" >> fileio.MatchFiles(self.pattern, fileio.EmptyMatchTreatment.DISALLOW)
            | "spread" >> beam.Reshuffle()
            | "read" >> read.with_outputs(REFUSED, main="rows")
        )
        scores = rows.rows | self.score | "table" >> beam.Map(_row_of_table)
        return {"scores": scores, REFUSED: rows[REFUSED]} if self.skip_damaged else scores


def card_of(folder: str, version: int | None = None) -> ModelCard:
    """The card of an exported model."""
    with _at_hand(folder) as local:
        return ModelCard.read(folder_of(local, version))


def _is_of_tables(pattern: str) -> bool:
    try:
        return reader_of(pattern) in TABLES
    except ValueError:  # which is raised for the files themselves
        return False


def columns(card: ModelCard, features: bool = False) -> list[str]:
    """The outputs of `serving_default` that make a table."""
    outputs = card.signatures[DEFAULT]
    return [n for n, t in outputs.items() if len(t["shape"]) == 1 or (features and n == "features")]


class _Handler(ModelHandler):
    """Tells Beam how to load a model and to run it."""

    def __init__(
        self, folder: str, version: int | None, signature: str, outputs: Sequence[str] | None,
        batch_size: int, threshold: float | None,
    ):  # fmt: skip
        super().__init__(min_batch_size=1, max_batch_size=batch_size)
        self.folder = folder
        self.version = version
        self.signature = signature
        self.outputs = None if outputs is None else list(outputs)
        self.threshold = threshold

    def load_model(self) -> ServedModel:
        with _at_hand(self.folder) as local:
            served = load(local, self.version)
        known = served.card.signatures.get(self.signature)
        if known is None or self.signature == "encoded_images":
            names = ", ".join(served.card.signatures)
            raise ValueError(f"no signature {self.signature!r} of rows; the model has {names}")
        if missing := {*(self.outputs or ())} - {*known}:
            raise ValueError(f"{self.signature} has no output {', '.join(sorted(missing))}")
        if self.threshold is not None:
            checked_threshold(self.threshold, known, self.signature)
        return served

    def run_inference(
        self, batch: Sequence[Any], model: ServedModel, inference_args: Any = None
    ) -> list[dict[str, Any]]:
        if self.signature in OF_TABLES:
            import pyarrow

            rows = pyarrow.concat_tables(batch, promote_options="default")
        else:
            rows = np.stack(batch)
        outputs = model.predict(rows, self.signature, len(batch), self.threshold)
        names = self.outputs or list(outputs)
        lists = [outputs[name].tolist() for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]

    def get_metrics_namespace(self) -> str:
        return "delvm_tf"


class _Check(beam.DoFn):
    """Rows as float32 of the model's shape; one that is refused does not stop those beside it."""

    def __init__(self, handler: _Handler, skip: bool):
        self.handler = handler
        self.skip = skip

    def setup(self) -> None:
        self.card = card_of(self.handler.folder, self.handler.version)

    def process(self, pair: tuple[Any, Any]) -> Iterator[Any]:
        key, row = pair
        try:
            yield key, self._checked(row)
        except (TypeError, ValueError) as error:
            if not self.skip:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"row {key!r}: {error}") from error
            yield beam.pvalue.TaggedOutput(REFUSED, (key, str(error)))

    def _checked(self, row: Any) -> Any:
        if self.handler.signature in OF_TABLES and self.card.schema is not None:
            return table_of(row, self.card.schema)
        values = in_order(row, self.card.columns)
        return checked_rows(np.ma.asanyarray(values)[None], self.card.shape)[0]


class _Read(beam.DoFn):
    """A file to pairs ((file, number of the row), row)."""

    def __init__(self, card: ModelCard, skip: bool, table: TableOptions):
        self.card = card
        self.skip = skip
        self.table = table
        self.said: set[str] = set()

    def process(self, found: Any) -> Iterator[Any]:
        try:
            with _at_hand(found.path) as local:
                reader = reader_of(local)
                check_options(reader, self.table)
                for rows in rows_for(self.card, local, reader, self.table):
                    self._say(rows.notes)
                    some = rows.x if isinstance(rows.x, np.ndarray) else rows.x.to_pylist()
                    for k, row in enumerate(some):
                        yield (found.path, rows.first + k), row
        except ValueError as error:
            if not self.skip:
                raise ContentsError(f"{found.path}: {error}") from error
            yield beam.pvalue.TaggedOutput(REFUSED, (found.path, str(error)))

    def _say(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self.said:
                self.said.add(note)
                _LOG.warning(note)


def _row_of_table(pair: tuple[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    (file, row), outputs = pair
    return {"file": file, "row": row, **outputs}


@contextmanager
def _at_hand(path: str) -> Iterator[Path]:
    """A local path of a file or folder, which is fetched from where it is if need be."""
    if FileSystems.get_scheme(path) is None:
        yield Path(path).expanduser()
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.rstrip("/").rpartition("/")[2]
        (inside,) = FileSystems.match([path.rstrip("/") + "/**"])
        for metadata in inside.metadata_list:
            _fetch(metadata.path, target / metadata.path.removeprefix(path).lstrip("/"))
        if not inside.metadata_list:
            _fetch(path, target)
        yield target


def _fetch(path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileSystems.open(path) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
