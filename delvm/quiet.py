"""TensorFlow, imported without the lines that its libraries write when they start.

They come from C++, before Python could set up any logging, and some whatever the level of the log:
while TensorFlow is imported and looks for devices, all that is written to the standard error goes
through another process, which passes on what is not known to be harmless. So nothing is lost should
the process die in between. Under TF_CPP_MIN_LOG_LEVEL=0 everything is shown.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HARMLESS = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\)"
    r"|I0000 |\S+ \S+ I "  # information
    r"|To enable the following instructions: "  # second line of the same
    r"|.*Unable to register cu\w+ factory: "  # they are linked twice
    r"|.*computation placer already registered"
    r"|.*failed call to cuInit: .*(UNKNOWN ERROR \(303\)|no CUDA-capable device)"  # no GPU here
)

PASS_ON = """
import os, re, sys
harmless = re.compile(sys.argv[1])
for line in sys.stdin.buffer:
    if not harmless.match(line.decode(errors="replace")):
        os.write(2, line)
"""


@contextmanager
def harmless_lines_dropped() -> Iterator[None]:
    """Pass the standard error of this process, C++ included, through `HARMLESS`."""
    kept = os.dup(2)
    command = [sys.executable, "-I", "-S", "-c", PASS_ON, HARMLESS.pattern]
    # In a session of its own, so that Ctrl-C ends the program and not what it says.
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert watcher.stdin is not None
    os.dup2(watcher.stdin.fileno(), 2)
    watcher.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        watcher.wait(timeout=10)


def start_tensorflow() -> None:
    """Import TensorFlow and have it look for devices."""
    import tensorflow as tf

    tf.config.list_physical_devices()  # CUDA is started here, not by the import


if "tensorflow" not in sys.modules:
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        start_tensorflow()
    else:
        with harmless_lines_dropped():
            start_tensorflow()
