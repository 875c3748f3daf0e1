"""Scoring files of any number and size with a served model: in parts, which a killed run keeps."""

import csv
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Reader
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.streams.stream import check_options, files_of
from delvm_tf.inputs.ahead import computed_ahead
from delvm_tf.serving import DriftMonitor, ServedModel
from delvm_tf.serving.checks import checked_threshold
from delvm_tf.serving.files import rows_for
from delvm_tf.serving.reasons import check_reasons, reasons
from delvm_tf.serving.signatures import DEFAULT, TABLE
from delvm_tf.storage.ownership import (
    RECORD,
    made_folder,
    read_json,
    refuse_foreign_file,
    remove_files,
    remove_if_empty,
    unfinished_folder,
    whole,
    write_json,
)  # fmt: skip
from delvm_tf.storage.paths import local_path

FIRST = ("anomaly_score", "is_anomaly", "p_value", "threshold")  # of the columns written
FORMATS = (".parquet", ".csv")
_PART_BYTES = 64 * 2**20  # of files that are scored as one part
_PART_FILES = 2000
_BATCH_BYTES = 2**20


class Written(NamedTuple):
    """What is computed of rows, and written; see `score_files`."""

    batch_size: int
    features: bool
    explain: int
    p_values: bool
    threshold: float | None


@dataclass
class Summary:
    """What a run has scored, this time and before.

    Attributes:
        rows: number of rows written.
        abnormal: number of them that are abnormal; None without a threshold.
        damaged: files that could not be read, or to their end, with the reason.
        drift: compares the scores with those of the training data, if the card has a histogram.
        notes: how columns were matched, where that is worth knowing.
    """

    rows: int
    abnormal: int | None
    damaged: dict[str, str]
    drift: DriftMonitor | None
    notes: list[str] = field(default_factory=list)


def score_files(
    served: ServedModel,
    pattern: str,
    output: Path,
    batch_size: int | None = None,
    features: bool = False,
    skip_damaged: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
    table: TableOptions | None = None,
    explain: int = 0,
    p_values: bool | None = None,
    threshold: float | None = None,
) -> Summary:
    """Score all rows of the files that fit a pattern, and write a table of them.

    Columns of tables are matched by the names in the model's card, in any order; others are left
    out, which the summary says. A model with a schema takes them as they are, text and empty cells
    too, by its signature `table`.

    Columns of the output: `file`, `row` (its number in the file, from 0; headers and blank lines
    have none), the outputs of `serving_default` that are one
    number a row, the reasons, and `features` as a list if asked for. Memory: a batch of rows.

    Files are scored in parts, kept in `<output>.partial/` until all are there; the same call goes
    on with those that are missing. Other files, options or another model begin anew, in a folder of
    their own. The output appears whole or not at all, and replaces nothing but a table of scores.

    Args:
        served: the model.
        pattern: of files that `streams.stream` can read, one kind.
        output: `.parquet` or `.csv`.
        batch_size: rows scored at a time; by default as many as make a megabyte, from 64 to 4,096.
        features: write the features too; Parquet only.
        skip_damaged: go on after files that cannot be read or do not fit, instead of stopping;
            rows before the damage are kept.
        progress: is told how many files of how many are done, for the first time when some rows
            are scored, so that what makes no sense is refused before.
        table: what the columns of .csv and .parquet mean, if the names do not settle it.
        explain: how many columns to tell for each row, those that raise its score most: `reason_1`,
            `contribution_1`, `expected_1` and so on; see `reasons`. The model must have been
            exported with `explain=True`. Cost: up to 16 gradients a row.
        p_values: whether to write `p_value`; None for where the model serves it.
        threshold: decides instead of the model's own.

    Raises:
        FileNotFoundError: if no file fits the pattern.
        ValueError: for files of several or unknown kinds, options of tables for other files, an
            output of another format or among the files, or if the model does not serve what is
            asked for.
        ContentsError: naming the file, if one is damaged or does not fit the model.
        FileExistsError: if the output is a file that no such run has written.
        OSError: if the output cannot be written.
    """
    output = local_path(output, "the output")
    if output.suffix not in FORMATS or (features and output.suffix == ".csv"):
        raise ValueError(
            f"the output must end in {' or '.join(FORMATS)}, and features need .parquet, got "
            f"{output.name}"
        )
    if batch_size is None:
        row_bytes = 4 * math.prod(served.card.shape)
        batch_size = min(max(_BATCH_BYTES // row_bytes, 64), 4096)
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size}")
    check_reasons(served.card, explain)
    if p_values and "p_value" not in served.card.signatures[DEFAULT]:
        raise ValueError(
            "the model serves no p-values: it has no scores of normal rows that it was not trained "
            "on; leave p_values out, or export a detector whose fit held some out"
        )
    if threshold is not None:
        threshold = float(checked_threshold(threshold, served.card.signatures[DEFAULT], DEFAULT))
    written = Written(batch_size, features, explain, p_values is not False, threshold)
    table = table or TableOptions()
    refuse_foreign_file(output, _holds_scores(output))
    files, reader = files_of(pattern)
    if output.resolve() in {file.resolve() for file in files}:
        raise ValueError(
            f"the output {output} fits the pattern {pattern} of the files to score; write it to "
            f"another folder, or choose a pattern that it does not fit"
        )
    check_options(reader, table)
    parts = list(_parts(files))
    with made_folder(output.parent):
        folder = _folder_of(output, served, files, written, skip_damaged, asdict(table))
        try:
            done = 0
            for number, part in enumerate(parts):
                if not (folder / f"{number}.json").exists():
                    found = _Found({}, [])
                    rows = _rows(served, part, reader, table, skip_damaged, found)
                    tables = _told(_scored(served, rows, written), progress, done, len(files))
                    _write(tables, folder / f"{number}.parquet")
                    write_json(folder / f"{number}.json", found._asdict())
                done += len(part)
                progress(done, len(files))
            summary = _joined(served, folder, len(parts), output)
        except BaseException:
            if not (folder / "0.json").exists():  # there is nothing to go on with
                _remove_parts(folder, len(parts))
            raise
        _remove_parts(folder, len(parts))
        return summary


def _holds_scores(path: Path) -> bool:
    """Whether a file is a table as `score_files` writes it."""
    from pyarrow import ArrowException, parquet

    try:
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                names = next(csv.reader(file), [])
        else:
            names = parquet.read_schema(path).names
    except (OSError, ValueError, csv.Error, ArrowException):
        return False
    scores = {"anomaly_score", "reconstruction_error"}
    return names[:2] == ["file", "row"] and not scores.isdisjoint(names)


def _remove_parts(folder: Path, parts: int) -> None:
    names = [f"{number}.{kind}" for number in range(parts) for kind in ("json", "parquet")]
    remove_files(folder, [*names, RECORD])
    remove_if_empty(folder)


def _parts(files: list[Path]) -> Iterator[list[Path]]:
    part: list[Path] = []
    size = 0
    for file in files:
        if part and (size + file.stat().st_size > _PART_BYTES or len(part) >= _PART_FILES):
            yield part
            part, size = [], 0
        part.append(file)
        size += file.stat().st_size
    yield part


def _folder_of(output: Path, served: ServedModel, files: list[Path], *options: Any) -> Path:
    """The folder of the parts that are made of these files, in this way."""
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    content = json.dumps(
        [served.card.checksums, served.card.columns, stats, options], sort_keys=True
    )
    key = hashlib.sha256(content.encode()).hexdigest()
    return unfinished_folder(output, key)


class _Found(NamedTuple):
    """What is found while files are read: the damaged ones with the reasons, and notes."""

    damaged: dict[str, str]
    notes: list[str]

    def add(self, notes: Iterable[str]) -> None:
        self.notes.extend(note for note in notes if note not in self.notes)


def _rows(
    served: ServedModel, files: list[Path], reader: Reader, table: TableOptions,
    skip_damaged: bool, found: _Found,
) -> Iterator[tuple[str, int, np.ndarray]]:  # fmt: skip
    """File, number of the first row, and rows, of some files."""
    for file in files:
        try:
            for rows in rows_for(served.card, file, reader, table):
                found.add(rows.notes)
                yield str(file), rows.first, rows.x
        except ContentsError as error:
            if not skip_damaged:
                raise
            found.damaged[str(file)] = str(error)


def _scored(
    served: ServedModel, rows: Iterable[tuple[str, int, Any]], written: Written
) -> Iterator[dict[str, Any]]:
    """Tables of the scores of some rows, a batch of them at a time, in the order of the rows."""
    batches = _batches(rows, written.batch_size)
    return computed_ahead(lambda held: _table(served, held, written), batches)


def _told(
    tables: Iterator[dict[str, Any]], progress: Callable[[int, int], None], done: int, files: int
) -> Iterator[dict[str, Any]]:
    """The same tables; that work goes on is told with each."""
    for table in tables:
        progress(done, files)
        yield table


def _batches(
    rows: Iterable[tuple[str, int, Any]], size: int
) -> Iterator[list[tuple[str, int, Any]]]:
    """The same rows, at least `size` at a time."""
    held: list[tuple[str, int, Any]] = []
    count = 0
    for some in rows:
        held.append(some)
        count += len(some[-1])
        if count >= size:
            yield held
            held, count = [], 0
    if held:
        yield held


def _joined_rows(parts: list[Any]) -> tuple[Any, str]:
    """Rows, or cells of tables, and the signature that takes them."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts), DEFAULT
    import pyarrow

    return pyarrow.concat_tables(parts), TABLE


def _table(
    served: ServedModel, held: list[tuple[str, int, Any]], written: Written
) -> dict[str, Any]:
    rows, signature = _joined_rows([x for *_, x in held])
    outputs = served.predict(rows, signature, written.batch_size, written.threshold)
    if not written.p_values:
        outputs.pop("p_value", None)
    import pyarrow

    table: dict[str, Any] = {
        "file": pyarrow.chunked_array([pyarrow.repeat(name, len(x)) for name, _, x in held]),
        "row": np.concatenate([first + np.arange(len(x)) for _, first, x in held]),
    }
    names = [*(name for name in FIRST if name in outputs), *sorted({*outputs} - {*FIRST})]
    table |= {name: outputs[name] for name in names if outputs[name].ndim == 1}
    if written.explain:
        table |= reasons(served, rows, written.explain)
    if written.features:
        table["features"] = list(outputs["features"])
    return table


def _write(tables: Iterator[dict[str, Any]], path: Path) -> None:
    """One Parquet file, whole or not there; none if there are no rows."""
    import pyarrow
    from pyarrow import parquet

    first = next(tables, None)
    if first is None:
        return
    schema = pyarrow.table(first).schema
    with whole(path) as partial, parquet.ParquetWriter(partial, schema) as writer:
        for content in itertools.chain([first], tables):
            writer.write_table(pyarrow.table(content, schema))


def _joined(served: ServedModel, folder: Path, parts: int, output: Path) -> Summary:
    """One table of all parts, and what it says."""
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    scores = served.card.scores
    drift = None if scores is None else DriftMonitor(scores)
    summary = Summary(0, 0 if served.card.threshold else None, {}, drift)
    score = "anomaly_score" if served.card.threshold else "reconstruction_error"
    batches = _batches_of(folder, parts, summary)
    first = next(batches, None)
    if first is None:
        causes = "; ".join(list(summary.damaged.values())[:3])
        raise ContentsError(f"no file could be scored: {causes}")
    kind = arrow_csv.CSVWriter if output.suffix == ".csv" else parquet.ParquetWriter
    with whole(output) as partial, kind(partial, first.schema) as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch)
            summary.rows += len(batch)
            if summary.abnormal is not None:
                summary.abnormal += int(np.sum(batch.column("is_anomaly").to_numpy(False)))
            if drift is not None:
                drift.update(batch.column(score).to_numpy(False))
    return summary


def _batches_of(folder: Path, parts: int, summary: Summary) -> Iterator[Any]:
    """The rows of all parts; what was damaged in them goes into the summary."""
    from pyarrow import parquet

    for number in range(parts):
        found = _Found(**read_json(folder / f"{number}.json"))
        summary.damaged |= found.damaged
        summary.notes += [note for note in found.notes if note not in summary.notes]
        path = folder / f"{number}.parquet"
        if path.exists():
            with parquet.ParquetFile(path) as file:
                yield from file.iter_batches()
