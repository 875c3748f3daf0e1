"""Running a program: what it says when interrupted, and expected errors in one clear line.

Programs import this module first: it starts TensorFlow, without the noise.
"""

import delvm.quiet  # noqa: F401

import argparse
import os
import shutil
import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from delvm.errors import EXPECTED, message_of

WIDTH = 100  # of the output where it is no terminal and COLUMNS does not say


def run_program(
    parse_arguments: Callable[[], argparse.Namespace],
    run: Callable[[argparse.Namespace, Console], None],
    piece: str = "piece",
) -> int:
    """Run, and give the exit status: 0, 1 after an error, 130 after an interruption.

    Args:
        parse_arguments: reads the command line.
        run: does the work.
        piece: what an interrupted run goes on after.
    """
    console = Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH)
    try:
        run(parse_arguments(), console)
    except KeyboardInterrupt:
        console.print(f"\nInterrupted; the same command goes on after the last finished {piece}.")
        return 130
    except EXPECTED as error:
        console.print(
            f"[bold red]error:[/] {escape(message_of(error))}", soft_wrap=True, highlight=False
        )
        return 1
    return 0


def activation() -> str:
    """How to have the commands of this environment at hand, or nothing where they are."""
    if shutil.which("delvm"):
        return ""
    folder = min(os.path.relpath(sys.prefix), sys.prefix, key=len)
    script = os.path.join(folder, "bin", "activate")
    return f"  make the commands below known to this shell: source {script}\n"
