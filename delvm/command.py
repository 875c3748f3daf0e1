"""`delvm`: runs a command, and says in a line or two what went wrong."""

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from delvm.arguments import absent, parse

DONE, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        The exit status: 0 when done, 1 after an error in data or model, 130 after an interruption.

    Raises:
        SystemExit: with status 2 after wrong usage, 0 after help.
    """
    args = parse(arguments)
    if problem := absent(args):  # which would take seconds to be told below
        return _said(f"error: {problem}", FAILED)
    try:
        import delvm.quiet  # noqa: F401  starts TensorFlow, before anything else imports it

        module = importlib.import_module(f"delvm.{args.command}")
    except KeyboardInterrupt:
        return _said("interrupted before anything was done", INTERRUPTED)
    from delvm.errors import EXPECTED, message_of
    from delvm.talk import Talk

    try:
        with _terminated_in_order(), Talk(args.quiet, args.json) as talk:
            talk.result(module.run(args, talk))
    except KeyboardInterrupt:
        return _said(f"interrupted; {module.INTERRUPTED}".format(**vars(args)), INTERRUPTED)
    except BrokenPipeError:  # whoever read the results has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except EXPECTED as error:
        return _said(f"error: {message_of(error)}", FAILED)
    return DONE


def _said(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """A request to end, as schedulers and containers send it, leaves nothing half-written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
