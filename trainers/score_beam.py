"""Score files with an exported model in a Beam pipeline: on this machine, or on many.

Options after a lone -- go to Beam, such as -- --runner FlinkRunner or -- --runner DataflowRunner
--project ... . Paths may be of any file system that Beam knows.
"""

from trainers.program import run_program

import argparse
import sys
from typing import Any

from rich.console import Console

from delvm.arguments import add_table_arguments, table_options
from delvm_tf.storage.paths import local_path

TYPES = {"bool": "bool_", "float32": "float32"}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of an exported model")
    parser.add_argument("--version", type=int, help="of the model; the newest if not given")
    parser.add_argument("--input", required=True, metavar="'PATTERN'", help="quoted")
    parser.add_argument("--output", required=True, help="files are <output>-00000-of-....parquet")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--features", action="store_true", help="write features too")
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="above which a score is abnormal here"
    )
    parser.add_argument(
        "--skip-damaged", action="store_true",
        help="go on after damaged files, and write <output>-refused-....txt",
    )  # fmt: skip
    add_table_arguments(parser)
    parser.add_argument("beam", nargs="*", metavar="-- OPTION", help="options of Beam")
    return parser.parse_args(arguments)


def run(args: argparse.Namespace, console: Console) -> None:
    """Build the pipeline, and wait until it has run."""
    import pyarrow

    from delvm_tf.serving.beam import FileSystems, ScoreFiles, beam, card_of

    if FileSystems.get_scheme(args.output) is None:
        args.output = str(local_path(args.output, "--output"))
    refuse_existing(args.output)
    score = ScoreFiles(
        args.input,
        args.model,
        args.version,
        args.features,
        args.batch_size,
        args.skip_damaged,
        table_options(args),
        args.threshold,
    )
    outputs = card_of(args.model, args.version).signatures["serving_default"]
    schema = pyarrow.schema(
        [("file", pyarrow.string()), ("row", pyarrow.int64())]
        + [(name, column_type(pyarrow, outputs[name])) for name in score.outputs]
    )
    with beam.Pipeline(argv=args.beam) as pipeline:
        scores = pipeline | score
        if args.skip_damaged:
            refused = scores["refused"] | beam.MapTuple(lambda file, reason: f"{file}: {reason}")
            refused | beam.io.WriteToText(f"{args.output}-refused", ".txt")
            scores = scores["scores"]
        scores | beam.io.WriteToParquet(args.output, schema, file_name_suffix=".parquet")
    console.print(f"tables: {args.output}-*.parquet")


def refuse_existing(output: str) -> None:
    """Refuse names that files have already, for Beam deletes these before it writes its own.

    Raises:
        FileExistsError: naming some.
    """
    from delvm_tf.serving.beam import FileSystems

    (found,) = FileSystems.match([f"{output}-*"])
    names = [m.path for m in found.metadata_list if m.path.endswith((".parquet", ".txt"))]
    if names:
        raise FileExistsError(
            f"there are files of the names that the tables get, such as {names[0]}; move them "
            f"away, or choose another --output"
        )


def column_type(pyarrow: Any, output: dict[str, Any]) -> Any:
    """The type of a column for an output as the model card describes it."""
    value = getattr(pyarrow, TYPES[output["dtype"]])()
    return value if len(output["shape"]) == 1 else pyarrow.list_(value)


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run, piece="run"))
