"""TensorFlow starts without noise, and nothing else of the standard error is lost."""

from delvm.quiet import HARMLESS

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAYING = """
import os, sys
sys.modules["tensorflow"] = None  # it need not be started here
from delvm.quiet import harmless_lines_dropped
with harmless_lines_dropped():
    os.write(2, b"I0000 00:00:17 1 port.cc:153] oneDNN is on\\n")
    print("from Python", file=sys.stderr)
    os.write(2, b"F0000 00:00:17 1 port.cc:1] no such instruction\\nthe last words")
    {end}
print("afterwards", file=sys.stderr)
"""


def quietly(*command, **environment):
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False,
        env={**kept, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "program", ["trainers/train.py", pytest.param("tuning/search.py", marks=pytest.mark.slow)]
)
def test_a_program_says_nothing_but_what_is_its_own(program):
    done = quietly(str(ROOT / program), "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("usage:")


def test_other_lines_are_kept():
    said = quietly("-c", SAYING.format(end="pass")).stderr
    assert "oneDNN" not in said
    for line in ("from Python\n", "no such instruction\nthe last words", "afterwards\n"):
        assert line in said
    assert said.endswith("afterwards\n")


def test_the_last_words_of_a_process_that_dies_are_kept():
    done = quietly("-c", SAYING.format(end="os.abort()"))
    assert done.returncode < 0
    assert "no such instruction\nthe last words" in done.stderr
    assert "afterwards" not in done.stderr


def test_an_import_that_fails_is_told():
    done = quietly("-c", SAYING.format(end="raise ImportError('no libtensorflow')"))
    assert "ImportError: no libtensorflow" in done.stderr


@pytest.mark.parametrize(
    ("line", "harmless"),
    [
        ("WARNING: All log messages before absl::InitializeLog() is called are written", True),
        ("I0000 00:00:1795720777.967836   16860 cudart_stub.cc:31] Could not find cuda", True),
        ("2025-01-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN", True),
        ("E0000 00:00:17 9 cuda_dnn.cc:8310] Unable to register cuDNN factory: twice", True),
        ("W0000 00:00:17 9 computation_placer.cc:177] computation placer already registered", True),
        ("E0000 00:00:17 9 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: "
         "Failed call to cuInit: UNKNOWN ERROR (303)", True),
        ("E0000 00:00:17 9 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_"
         "MISMATCH", False),
        ("W0000 00:00:17 9 gpu_device.cc:2] Cannot dlopen some GPU libraries", False),
        ("2025-01-01 10:00:00.123456: E tensorflow/core/a.cc:1] something", False),
        ("Traceback (most recent call last):", False),
        ("In other words: nothing", False),
    ],
)  # fmt: skip
def test_what_is_harmless(line, harmless):
    assert (HARMLESS.match(line) is not None) == harmless
