"""The command line of `delvm`, and options of tables that other programs have too."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delvm_tf.datasets.streams import TableOptions
    from delvm_tf.datasets.streams.reading import Column

KINDS = ("number", "boolean", "date", "text")
EXAMPLES = """examples:
  delvm fit normal.csv -o model
  delvm fit machine.csv -o model --label bad --separator ';' --decimal ,
  delvm score model 'new/*.csv' -o scores.csv --explain 3
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The arguments of a command; `command` says which one was given.

    Raises:
        SystemExit: with status 2 after wrong usage, 0 after help.
    """
    parser = new_parser()
    args = parser.parse_args(arguments)
    if len(getattr(args, "data", ())) > 1:
        parser.error(
            f"{len(args.data)} files were given, such as {args.data[1]}; quote a pattern of them, "
            f"as in 'new/*.csv', or give their folder"
        )
    if getattr(args, "normal", None) and args.label is None:
        parser.error("--normal needs --label, the column that says which rows are normal")
    if getattr(args, "onnx", False) and args.output.suffix != ".onnx":
        parser.error(f"with --onnx the name of the output must end in .onnx, got {args.output}")
    return args


def absent(args: argparse.Namespace) -> str | None:
    """What is wrong with a model or file that is not there; None if nothing is, or one must look.

    It needs nothing of the library, whose import takes seconds. Patterns, and what may be no path
    of this machine, are left to it.
    """
    if getattr(args, "model", None) is not None:
        path = os.path.expanduser(args.model)
        if _is_absent(path) or os.path.isfile(path):
            return no_folder(Path(path))
    for data in getattr(args, "data", ()):
        if _is_absent(os.path.expanduser(data)):
            return f"no file fits {data}; there is no such file or folder"
    return None


def no_folder(model: Path) -> str:
    """What to tell of a model whose folder is not there."""
    return f"{model} is no folder; give one that delvm fit wrote"


def _is_absent(path: str) -> bool:
    """Whether a path, which is no pattern and no address, leads nowhere."""
    if not path.strip() or re.search(r"[*?\[\\\0]|:/", path):
        return False
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # there may be something that cannot be seen
        return False
    return False


def new_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="delvm",
        description="Find abnormal rows in tables, and abnormal images: learn what is normal, then "
        "score new files.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    _add_fit(commands)
    _add_score(commands)
    _add_info(commands)
    _add_export(commands)
    for command in commands.choices.values():
        said = command.add_argument_group("what is said")
        said.add_argument("--quiet", action="store_true", help="say nothing but errors")
        said.add_argument(
            "--json", action="store_true", help="results as one JSON object on the standard output"
        )
    return parser


class _Version(argparse.Action):
    """Says the version of the library, as it was installed, for importing that takes seconds."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata

        try:
            version = metadata.version("delvm_tf")
        except metadata.PackageNotFoundError:  # found on the path only
            from delvm_tf import __version__ as version
        sys.stdout.write(f"{parser.prog} {version}\n")
        parser.exit()


def _new_command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[:1].upper() + text[1:] + "."
    )
    return parser


def _add_fit(commands: Any) -> None:
    parser = _new_command(
        commands,
        "fit",
        "learn what is normal from a table or images, and write a model with a report",
    )
    _add_data(parser, "of normal rows, or with --label of both kinds")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL", help="folder")
    parser.add_argument(
        "--contamination", type=_rate, metavar="RATE",
        help="share of normal rows that may be called abnormal; 0.01 if there is no recipe",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", metavar="FILE[:NAME]", help="TOML file of the model and its training"
    )
    parser.add_argument("--seed", type=_count, default=0, help="of all that is drawn (0)")
    add_table_arguments(parser)
    parser.add_argument(
        "--kind", nargs="+", action="extend", metavar="COLUMN=KIND", default=[], type=_kind,
        help=f"what columns hold, where their cells do not show it: {', '.join(KINDS)}",
    )  # fmt: skip
    parser.add_argument(
        "--normal", nargs="+", metavar="LABEL", default=[],
        help="labels of normal rows, where they are not 0 and 1; all others are abnormal",
    )  # fmt: skip
    parser.add_argument(
        "--dates", choices=("refuse", "numbers"), default="refuse",
        help="columns of dates are refused, or become seconds",
    )  # fmt: skip


def _add_score(commands: Any) -> None:
    parser = _new_command(commands, "score", "score the rows of files with a model")
    _add_model(parser)
    _add_data(parser, "of one kind: tables, .npz, .tfrecord or images")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="TABLE", help=".parquet or .csv"
    )
    parser.add_argument(
        "--explain", type=_count, default=0, metavar="N",
        help="name the N columns that contribute most to each score",
    )  # fmt: skip
    parser.add_argument("--p-values", action="store_true", help="write p-values too")
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="above which a score is abnormal here"
    )
    parser.add_argument("--version", type=int, help="of the served model; the newest")
    parser.add_argument(
        "--batch-size",
        type=_positive,
        metavar="ROWS",
        help="scored at a time; as many as make a megabyte",
    )
    parser.add_argument("--features", action="store_true", help="write features too, .parquet only")
    parser.add_argument(
        "--skip-damaged", action="store_true", help="go on after damaged files, and say so"
    )
    add_table_arguments(parser)


def _add_info(commands: Any) -> None:
    _add_model(_new_command(commands, "info", "say what a model is"))


def _add_export(commands: Any) -> None:
    parser = _new_command(commands, "export", "write a model for servers, or as an ONNX file")
    _add_model(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True,
        help="folder of all versions of the served model; with --onnx a file",
    )  # fmt: skip
    parser.add_argument("--onnx", action="store_true", help="write an ONNX file")


def _add_model(parser: Any) -> None:
    parser.add_argument(
        "model", type=Path, help="folder that `delvm fit` wrote, or an exported one"
    )


def _add_data(parser: Any, kind: str) -> None:
    parser.add_argument(
        "data", nargs="+", metavar="FILE", help=f"a file, a folder or a quoted pattern, {kind}"
    )


def add_table_arguments(parser: Any) -> None:
    """What the columns of tables mean; see `TableOptions`."""
    group = parser  # of data, if it is one
    if isinstance(parser, argparse.ArgumentParser):
        group = parser.add_argument_group("tables")
    group.add_argument(
        "--columns",
        nargs="+",
        action="extend",
        metavar="COLUMN",
        help="the features, in order; names, or numbers #0, #1, ...",
    )
    for name, text in (
        ("drop", "columns to leave out"),
        ("index", "numbers of rows, left out too"),
    ):
        group.add_argument(f"--{name}", nargs="+", action="extend", metavar="COLUMN", help=text)
    group.add_argument(
        "--label", metavar="COLUMN",
        help="column of labels, left out too; of images 'folder', the one that a file is in",
    )  # fmt: skip
    group.add_argument(
        "--header", action=argparse.BooleanOptionalAction,
        help="whether the first line of .csv names the columns; settled by types if it can be",
    )  # fmt: skip
    group.add_argument(
        "--separator", metavar="CHARACTER", help="between the cells of .csv; a comma"
    )
    group.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK",
        help="in numbers of .csv, a point or a comma; a point",
    )  # fmt: skip


def table_options(args: argparse.Namespace, **usual: Any) -> "TableOptions":
    """What `add_table_arguments` was given.

    Args:
        args: as parsed.
        usual: `header`, `separator` and `decimal` where these are not given.
    """
    from delvm_tf.datasets.streams import TableOptions

    def column(text: str) -> "Column":
        return int(text[1:]) if re.fullmatch(r"#-?\d+", text) else text

    def several(texts: list[str] | None) -> list["Column"]:
        return [column(text) for text in texts or ()]

    given = {"header": args.header, "separator": args.separator, "decimal": args.decimal}
    given["separator"] = "\t" if args.separator == "\\t" else args.separator
    return TableOptions(
        label=None if args.label is None else column(args.label),
        columns=several(args.columns) or None, drop=several(args.drop),
        index=several(args.index),
        **usual | {name: value for name, value in given.items() if value is not None},
    )  # fmt: skip


def _kind(text: str) -> tuple[str, str]:
    column, equals, kind = text.rpartition("=")
    if not (equals and column) or kind not in KINDS:
        raise argparse.ArgumentTypeError(
            f"expected COLUMN=KIND with one of {', '.join(KINDS)}, got {text!r}"
        )
    return column, kind


def _count(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError("must be positive")
    return number


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
    return rate
