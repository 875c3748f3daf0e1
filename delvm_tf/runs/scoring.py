"""Scoring files of any number and size with a served model: in parts, which a killed run keeps."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Reader
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.streams.stream import check_options, files_of
from delvm_tf.runs.results import make_folder, read_json, write_json
from delvm_tf.serving import DriftMonitor, ServedModel
from delvm_tf.serving.files import rows_for

FORMATS = (".parquet", ".csv")
_PART_BYTES = 64 * 2**20  # of files that are scored as one part
_PART_FILES = 2000


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
    batch_size: int = 256,
    features: bool = False,
    skip_damaged: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
    table: TableOptions | None = None,
) -> Summary:
    """Score all rows of the files that fit a pattern, and write a table of them.

    Columns of tables are matched by the names in the model's card, in any order; others are left
    out, which the summary says.

    Columns of the output: `file`, `row` (its number in the file, from 0; headers and blank lines
    have none), the outputs of `serving_default` that are one
    number a row, and `features` as a list if asked for. Memory: a batch of rows.

    Files are scored in parts, kept in `<output>.partial/` until all are there; the same call goes
    on with those that are missing. Other files, options or another model begin anew. The output
    appears whole or not at all.

    Args:
        served: the model.
        pattern: of files that `streams.stream` can read, one kind.
        output: `.parquet` or `.csv`.
        batch_size: rows scored at a time.
        features: write the features too; Parquet only.
        skip_damaged: go on after files that cannot be read or do not fit, instead of stopping;
            rows before the damage are kept.
        progress: is told how many files of how many are done.
        table: what the columns of .csv and .parquet mean, if the names do not settle it.

    Raises:
        ImportError: if pyarrow is missing.
        FileNotFoundError: if no file fits the pattern.
        ValueError: for files of several or unknown kinds, options of tables for other files, or
            an output of another format.
        ContentsError: naming the file, if one is damaged or does not fit the model.
        OSError: if the output cannot be written.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError("scoring needs pyarrow: pip install 'delvm_tf[parquet]'") from error
    if output.suffix not in FORMATS or (features and output.suffix == ".csv"):
        raise ValueError(
            f"the output must end in {' or '.join(FORMATS)}, and features need .parquet, got "
            f"{output.name}"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size}")
    table = table or TableOptions()
    files, reader = files_of(pattern)
    check_options(reader, table)
    parts = list(_parts(files))
    folder = _folder_of(output, served, files, batch_size, features, skip_damaged, asdict(table))
    for number, part in enumerate(parts):
        if not (folder / f"{number}.json").exists():
            found = _Found({}, [])
            rows = _rows(served, part, reader, table, skip_damaged, found)
            _write(_scored(served, rows, batch_size, features), folder / f"{number}.parquet")
            write_json(folder / f"{number}.json", found._asdict())
        progress(sum(map(len, parts[: number + 1])), len(files))
    return _joined(served, folder, len(parts), output)


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
    """The folder of the parts, emptied if they were made of something else."""
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    content = json.dumps(
        [served.card.checksums, served.card.columns, stats, options], sort_keys=True
    )
    key = hashlib.sha256(content.encode()).hexdigest()
    folder = output.with_name(output.name + ".partial")
    make_folder(folder)
    written = folder / "config.json"
    if not written.exists() or read_json(written) != key:
        for old in folder.iterdir():
            old.unlink()
        write_json(written, key)
    return folder


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
    served: ServedModel, rows: Iterable[tuple[str, int, np.ndarray]], batch_size: int,
    features: bool,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Tables of the scores of some rows, a batch of them at a time."""
    held: list[tuple[str, int, np.ndarray]] = []
    count = 0
    for some in rows:
        held.append(some)
        count += len(some[-1])
        if count >= batch_size:
            yield _table(served, held, batch_size, features)
            held, count = [], 0
    if held:
        yield _table(served, held, batch_size, features)


def _table(
    served: ServedModel, held: list[tuple[str, int, np.ndarray]], batch_size: int, features: bool
) -> dict[str, Any]:
    outputs = served.predict(np.concatenate([x for *_, x in held]), batch_size=batch_size)
    table: dict[str, Any] = {
        "file": [name for name, _, x in held for _ in range(len(x))],
        "row": np.concatenate([first + np.arange(len(x)) for _, first, x in held]),
    }
    table |= {name: value for name, value in outputs.items() if value.ndim == 1}
    if features:
        table["features"] = list(outputs["features"])
    return table


def _write(tables: Iterator[dict[str, Any]], path: Path) -> None:
    """One Parquet file, whole or not there; none if there are no rows."""
    import pyarrow
    from pyarrow import parquet

    partial = path.with_suffix(".writing")
    writer = None
    try:
        for content in tables:
            table = pyarrow.table(content)
            writer = writer or parquet.ParquetWriter(partial, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        partial.replace(path)


def _joined(served: ServedModel, folder: Path, parts: int, output: Path) -> Summary:
    """One table of all parts, and what it says."""
    from pyarrow import csv, parquet

    scores = served.card.scores
    drift = None if scores is None else DriftMonitor(scores)
    summary = Summary(0, 0 if served.card.threshold else None, {}, drift)
    score = "anomaly_score" if served.card.threshold else "reconstruction_error"
    partial = folder / "joined.writing"
    writer: Any = None
    for number in range(parts):
        found = _Found(**read_json(folder / f"{number}.json"))
        summary.damaged |= found.damaged
        summary.notes += [note for note in found.notes if note not in summary.notes]
        path = folder / f"{number}.parquet"
        if not path.exists():
            continue
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                kind = csv.CSVWriter if output.suffix == ".csv" else parquet.ParquetWriter
                writer = writer or kind(partial, batch.schema)
                writer.write_batch(batch)
                summary.rows += len(batch)
                if summary.abnormal is not None:
                    summary.abnormal += int(np.sum(batch.column("is_anomaly").to_numpy(False)))
                if drift is not None:
                    drift.update(batch.column(score).to_numpy(False))
    if writer is None:
        reasons = "; ".join(list(summary.damaged.values())[:3])
        raise ContentsError(f"no file could be scored: {reasons}")
    writer.close()
    partial.replace(output)
    for old in folder.iterdir():
        old.unlink()
    folder.rmdir()
    return summary
