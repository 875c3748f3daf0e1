"""Any table as one of pyarrow, and its columns as arrays that TensorFlow takes."""

from typing import Any

import numpy as np

from delvm_tf.inputs.refusals import CORRECT, Refusal, RefusedColumnsError

DATES = "numbers"  # seconds since 1970
TIMES = ("date", "time of day", "duration")  # what is held by columns that become seconds
_EXACT = 2**53  # float64 represents every integer below it, and rounds larger ones


def as_table(x: Any) -> Any:
    """A pyarrow table of pandas, polars or pyarrow, or of what has an interchange.

    That is Arrow's stream of the C interface (`__arrow_c_stream__`) or the dataframe protocol
    (`__dataframe__`).

    Raises:
        TypeError: for what is no table, or names of columns that are not text.
        ValueError: if two columns have the same name, or columns hold values of several types.
    """
    import pyarrow as pa
    from pyarrow.interchange import from_dataframe

    if isinstance(x, pa.RecordBatch):
        x = pa.Table.from_batches([x])
    elif not isinstance(x, pa.Table):
        package = type(x).__module__.split(".")[0]
        try:
            if package == "pandas":
                _check_names(list(x.columns))
                x = _of_pandas(x)
            elif hasattr(x, "to_arrow"):
                x = x.to_arrow()
            elif hasattr(x, "__arrow_c_stream__"):
                x = pa.table(x)
            elif hasattr(x, "__dataframe__"):
                x = from_dataframe(x)
            else:
                raise TypeError(f"expected a table with named columns, got {type(x).__name__}")
        except pa.ArrowException as error:
            if package == "pandas" and (mixed := _mixed(x)):
                raise RefusedColumnsError(mixed) from error
            raise ValueError(
                f"a column holds several types of values; make all of them numbers or text. {error}"
            ) from error
    _check_names(x.column_names)
    return x


def _of_pandas(frame: Any) -> Any:
    """A data frame, unless one of its columns of objects has dates with something else.

    Arrow takes numbers after a date for days or microseconds, and drops times after a day.
    """
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, kind in frame.dtypes.items():
        if kind.kind == "O" and pa.types.is_temporal(table.schema.field(name).type):
            cells = frame[name].dropna()
            found = {(type(v).__name__, getattr(v, "tzinfo", None) is None) for v in cells}
            if len(found) > 1:
                held = ", ".join(sorted(kind for kind, _ in found))
                raise pa.ArrowInvalid(f"{name!r} has {held}, or only some time zones")
    return table


def _mixed(frame: Any) -> list[Refusal]:
    """The columns of a data frame that Arrow does not take."""
    import pyarrow as pa

    found = []
    for name in frame.columns:
        try:
            _of_pandas(frame[[name]])
        except pa.ArrowException as error:
            reason = f"the column {name!r} holds several types of values ({error.args[0]})"
            found.append(Refusal(name, reason, ("make all values of a column numbers or text",)))
    return found


def is_one(x: Any) -> bool:
    """Whether x is a table: of pandas, polars or pyarrow, or of another library."""
    return _is_of_another_library(x) or (_is_known(x) and hasattr(x, "columns"))


def known(x: Any) -> Any:
    """X itself, or a pyarrow table if it is a table of a library that is not known here."""
    return as_table(x) if _is_of_another_library(x) else x


def _is_of_another_library(x: Any) -> bool:
    interchange = hasattr(x, "__arrow_c_stream__") or hasattr(x, "__dataframe__")
    return interchange and not _is_known(x) and not isinstance(x, type)


def _is_known(x: Any) -> bool:
    return type(x).__module__.split(".")[0] in ("pandas", "polars", "pyarrow")


def is_table(x: Any) -> bool:
    """Whether x is a table whose columns have names of text."""
    if not is_one(x):
        return False
    x = known(x)
    names = list(getattr(x, "column_names", x.columns))
    return bool(names) and all(isinstance(name, str) for name in names)


def is_plain(table: Any) -> bool:
    """Whether all columns of a pyarrow table are numbers, and no cell is missing or infinite."""
    from pyarrow import compute, types

    def whole(column: Any) -> bool:
        if kind_of(column) != "number" or column.null_count:
            return False
        return not types.is_floating(column.type) or compute.all(compute.is_finite(column)).as_py()

    return all(whole(column) for column in table.columns)


def _check_names(names: list[Any]) -> None:
    if strange := [name for name in names if not isinstance(name, str)]:
        raise TypeError(
            f"names of columns must be text, got {strange[:5]!r}; convert them: "
            f"x.columns = x.columns.astype(str)"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several columns have the same name: {', '.join(twice[:5])}; rename them")


def kind_of(column: Any) -> str:
    """What a column holds: `number`, `text`, `nothing`, one of `TIMES`, or pyarrow's name of it."""
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        if types.is_integer(kind) or types.is_boolean(kind):
            return "text"  # codes of categories
    if types.is_null(kind) or column.null_count == len(column):
        return "nothing"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return "number"
    if types.is_decimal(kind):
        return "number"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "date"
    if types.is_time(kind):
        return "time of day"
    return "duration" if types.is_duration(kind) else str(kind)


def numbers(column: Any, name: str) -> np.ndarray:
    """A column of numbers, truth values or dates as float64, (rows,); NaN where one is missing.

    Dates and times become seconds, since 1970 or midnight.

    Raises:
        RefusedColumnsError: for integers that float64 cannot hold, or infinity.
    """
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    try:
        if types.is_boolean(kind):
            column = column.cast("uint8")
        elif kind_of(column) in TIMES:
            column = in_microseconds(column).cast("int64").cast("float64")
            return _finite(column.to_numpy() / 1e6, name)
        decimal = types.is_decimal(kind)  # whose text is rounded once, and itself twice
        values = (column.cast("string") if decimal else column).cast("float64").to_numpy()
    except pa.ArrowException as error:
        raise _inexact(name, str(error)) from error
    if decimal:
        for k in map(int, np.flatnonzero(np.abs(values) >= _EXACT)):
            if int(column[k].as_py()) != int(values[k]):
                raise _inexact(name, f"{column[k]} in row {k}")
    return _finite(values, name)


def in_microseconds(column: Any) -> Any:
    """A column of dates (of UTC), times of day or durations in one type; others as they are."""
    import pyarrow as pa
    from pyarrow import compute

    kinds = {
        "date": pa.timestamp("us"), "time of day": pa.time64("us"), "duration": pa.duration("us")
    }  # fmt: skip
    if (kind := kind_of(column)) not in kinds:
        return column
    return column.cast(options=compute.CastOptions(kinds[kind], allow_time_truncate=True))


def missing(column: Any) -> np.ndarray:
    """Which cells of a column are null, NaN or empty text, (rows,) bool."""
    from pyarrow import compute, types

    if kind_of(column) == "text":
        return np.asarray(compute.equal(strings(column), ""))
    return np.asarray(compute.is_null(column, nan_is_null=types.is_floating(column.type)))


def texts(column: Any) -> np.ndarray:
    """A column of text or categories as strings, (rows,) objects; "" where one is missing."""
    return np.asarray(strings(column).to_pylist(), object)


def strings(column: Any) -> Any:
    """A column of text or categories as one of pyarrow's strings; "" where one is missing."""
    return column.cast("string").fill_null("")


def missing_cells(table: Any) -> np.ndarray:
    """How many cells of each row of a pyarrow table are missing, (rows,)."""
    return np.sum([missing(column) for column in table.columns], axis=0)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if np.isinf(values).any():
        rows = np.flatnonzero(np.isinf(values))
        reason = f"the column {name!r} is infinite in {len(rows)} rows (first: {rows[:5].tolist()})"
        raise RefusedColumnsError([Refusal(name, reason, (CORRECT,))])
    return values


def _inexact(name: str, what: str) -> RefusedColumnsError:
    reason = f"the column {name!r} cannot be read as numbers without loss: {what}"
    return RefusedColumnsError([Refusal(name, reason, (CORRECT,))])
