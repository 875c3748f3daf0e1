"""How the command starts, ends and fails, whatever it is to do."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm import command
from delvm.arguments import absent, parse
from delvm.errors import as_options, message_of

ROOT = Path(__file__).parents[2]


def started(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.Popen(
        [sys.executable, "-m", "delvm", *map(str, arguments)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        *((name, "--help") for name in ("fit", "score", "info", "export")),
    ],
)
def test_help_and_version_import_no_tensorflow(arguments):
    code = (
        "import sys, contextlib; from delvm.command import main\n"
        f"with contextlib.suppress(SystemExit): main({[*arguments]!r})\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    says = f"delvm {dv.__version__}" if arguments == ("--version",) else "usage: delvm"
    assert done.stdout.startswith(says)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & {"tensorflow", "keras", "numpy", "delvm_tf", "rich", "sklearn"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: command"),
        (("train",), "invalid choice: 'train'"),
        (("fit", "a.csv"), "required: -o/--output"),
        (("fit", "a.csv", "b.csv", "-o", "m"), "quote a pattern of them, as in 'new/*.csv'"),
        (("fit", "a.csv", "-o", "m", "--contamination", "1.5"), "between 0 and 1, got '1.5'"),
        (("fit", "a.csv", "-o", "m", "--seed", "-1"), "whole number of at least 0, got '-1'"),
        (("fit", "a.csv", "-o", "m", "--kind", "a=colour"), "expected COLUMN=KIND"),
        (("score", "m", "a.csv", "-o", "s.csv", "--batch-size", "0"), "must be positive"),
        (("export", "m", "-o", "m.pb", "--onnx"), "must end in .onnx, got m.pb"),
    ],
)
def test_wrong_usage_is_told_with_status_2(arguments, message, delvm):
    done = delvm(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


ABSENT = [
    ("info", "nowhere"),
    ("info", "~nobody-of-this-name/model"),
    ("export", "nowhere", "-o", "served"),
    ("score", "nowhere", "a.csv", "-o", "s.csv"),
    ("fit", "nowhere.csv", "-o", "m"),
]


@pytest.mark.parametrize("arguments", [*ABSENT, ("fit", "a.csv")])
def test_what_is_not_there_is_told_without_tensorflow(arguments, tmp_path):
    code = (
        "import sys, contextlib; from delvm.command import main\n"
        f"with contextlib.suppress(SystemExit): main({[*arguments]!r})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "error: " in done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"tensorflow", "keras", "numpy", "delvm_tf", "rich", "sklearn"}


@pytest.mark.parametrize("arguments", ABSENT)
def test_it_is_told_as_the_library_would(arguments, delvm, monkeypatch):
    at_once = delvm(*arguments)
    assert at_once.returncode == 1
    monkeypatch.setattr(command, "absent", lambda args: None)
    assert delvm(*arguments).stderr == at_once.stderr


def test_patterns_and_addresses_are_left_to_the_library():
    for text in ("new/*.csv", "gs://a/b", "C:\\a", " ", "a[1].csv"):
        given = parse(["fit", text, "-o", "m"])
        assert absent(given) is None
    assert absent(parse(["score", "gs://a/b", "*.csv", "-o", "s.csv"])) is None
    assert absent(parse(["info", "."])) is None
    assert absent(parse(["info", "a" * 300])) is None  # a name that no system has
    assert absent(parse(["info", "~nobody-of-this-name/model"])).endswith("that delvm fit wrote")
    assert (
        absent(parse(["info", __file__]))
        == f"{__file__} is no folder; give one that delvm fit wrote"
    )


@pytest.mark.parametrize("arguments", [("--quiet",), ("--json",), ()])
def test_errors_are_one_line_on_the_standard_error(arguments, delvm):
    done = delvm("info", "nowhere", *arguments)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere is no folder; give one that delvm fit wrote\n"
    assert done.stdout == ""


def test_a_fault_of_the_program_is_not_hidden(delvm, monkeypatch):
    monkeypatch.setattr(delvm_info(), "run", lambda args, talk: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        delvm("info", ".")


def delvm_info():
    import delvm.info

    return delvm.info


def test_advice_names_options():
    said = as_options(
        "pass index='Unnamed: 0', drop= or columns= with all; separator=';'; header=True; "
        "kinds={'a b': 'text'}; dates='numbers' (from a program: --index)"
    )
    assert said == (
        "pass --index 'Unnamed: 0', --drop or --columns with all; --separator ';'; --header; "
        "--kind 'a b=text'; --dates 'numbers'"
    )


def test_columns_are_left_out_with_an_option():
    assert as_options("the column 'a' is bad; leave it out") == (
        "the column 'a' is bad; leave it out with --drop"
    )
    for other in ("the column 'a' is bad; leave it out with --drop", "convert or leave it out"):
        assert as_options(other) == other


def test_messages_of_the_system_are_short():
    full = OSError(errno.ENOSPC, "No space left on device", "a/b")
    assert message_of(full) == "No space left on device: a/b"
    assert message_of(MemoryError()) == "not enough memory"
    full = "{{function_node __wrapped__SaveV2}} a/b; No space left on device [Op:SaveV2]\nmore"
    error = tf.errors.ResourceExhaustedError(None, None, full)
    assert message_of(error) == "a/b; No space left on device"


@pytest.mark.slow
def test_a_reader_who_has_enough_sees_no_traceback(fitted):
    process = started("info", fitted / "model")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


@pytest.mark.parametrize(
    "signal_", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interruption_leaves_what_was_there(signal_, fitted, tmp_path):
    """In a process of its own, while the model is trained."""
    long = (fitted / "quick.toml").read_text().replace("epochs = 2", "epochs = 100000")
    (tmp_path / "long.toml").write_text(long)
    model = tmp_path / "model"
    model.mkdir()
    process = started(
        "fit", fitted / "machines.csv", "-o", model, "--label", "defekt", "--separator", ";",
        "--decimal", ",", "--recipe", tmp_path / "long.toml",
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("Druck"):
            break
    time.sleep(3)
    process.send_signal(signal_)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if signal_ == signal.SIGINT else 143), said
    assert "Traceback" not in said
    if signal_ == signal.SIGINT:
        assert f"interrupted; nothing was written, and {model} is as it was" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.toml", "model"]
    assert not [*model.iterdir()]


def test_json_is_all_that_is_on_the_standard_output(fitted, delvm):
    done = delvm("info", fitted / "model", "--json")
    assert json.loads(done.stdout)["notes"] == []
    assert delvm("info", fitted / "model", "--quiet").stdout == ""


def test_it_is_an_entry_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["delvm"].partition(":")
    assert module == command.__name__
    assert callable(getattr(command, function))


FIT = ("fit", "{0}/machines.csv", "-o", "deep/er/m", "--label")
EXPORT = ("export", "{0}/model", "-o")
WRITING = [  # and in which folders each time
    ((*FIT, "defekt", "--separator", ";", "--decimal", ",", "--recipe", "{0}/quick.toml"),
     [["deep"]]),
    ((*FIT, "lost"), [[], ["deep"]]),
    (("score", "{0}/model", "{0}/machines.csv", "-o", "deep/er/s.csv", "--explain", "1"), [[]]),
    (("score", "{0}/model", "{0}/quick.toml", "-o", "deep/er/s.csv"), [[], ["deep"]]),
    ((*EXPORT, "deep/er/served"), [[]]),
    ((*EXPORT, "deep/er/m.onnx", "--onnx"), [["deep"]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "existing"),
    [
        pytest.param(arguments, folders, marks=() if folders in each_time else pytest.mark.slow)
        for arguments, each_time in WRITING
        for folders in ([], ["deep"])
    ],
)
def test_nothing_is_left_behind_after_an_error(
    delvm, fitted, tmp_path, monkeypatch, arguments, existing
):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    for folder in existing:
        (tmp_path / folder).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        patch.setattr(Path, "replace", full)
        done = delvm(*(argument.format(fitted) for argument in arguments))
    assert done.returncode == 1, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == existing
