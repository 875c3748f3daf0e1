"""Malformed files: a status, one message without a traceback, and nothing left behind.

Some files each time, and some hundred in the long tests.
"""

import re
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

import delvm_tf as dv

SLOW = pytest.mark.slow
READ = ("--separator", ";", "--decimal", ",")


CELLS = st.sampled_from(
    ["", "A1", "60,5", "60.5", "1e999", "NA", "1.234,5", "2026-11-27", '"', '"a";"b"', "\0", "true",
     "A1;A2", "\n", "9" * 30, "ä", "\u2028"]
)  # fmt: skip


@st.composite
def malformed(draw, lines, whole=1):
    """The bytes of a table with one thing changed or more; by `whole` more often in cells alone."""
    rows = [line.split(";") for line in lines]
    for _ in range(draw(st.integers(0, 2))):
        k = draw(st.integers(0, len(rows) - 1))
        rows[k][draw(st.integers(0, len(rows[k]) - 1))] = draw(CELLS)
    kinds = ["drop", "twice", "short", "cut", "bytes", "encoding"]
    kind = draw(st.sampled_from(["none"] * whole + kinds))
    if kind in ("drop", "twice"):
        at = draw(st.integers(0, len(rows[0]) - 1))
        rows = [row[:at] + (row[at:] if kind == "twice" else row[at + 1 :]) for row in rows]
        rows = [[*row, row[-1]] for row in rows] if kind == "twice" else rows
    elif kind == "short":
        del rows[draw(st.integers(0, 2)) :]
    encodings = ["latin-1", "utf-16", "utf-16-le"]
    encoding = draw(st.sampled_from(encodings)) if kind == "encoding" else "utf-8"
    data = bytearray("\n".join(map(";".join, rows)).encode(encoding, "replace"))
    at = draw(st.integers(0, max(0, len(data) - 1)))
    if kind == "cut":
        del data[at:]
    elif kind == "bytes" and data:
        data[at : at + 1] = draw(st.binary(max_size=3))
    return bytes(data)


def refused(done):
    """Whether a command ended with an error, which then is one and told in words."""
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode == 0:
        return False
    assert done.returncode in (1, 2), done
    assert len(re.findall(r"^(?:error|delvm \w+: error): \S", done.stderr, re.M)) == 1, done.stderr
    assert done.stdout.count("written") == 0
    return True


def lines_of(fitted, number):
    text = (fitted / "machines.csv").read_text(encoding="utf-8")
    return text.splitlines()[: number + 1]


@pytest.mark.parametrize("size", [pytest.param(40, marks=SLOW)])
def test_nothing_is_fitted_to_malformed_files(delvm, fitted, tmp_path, size):
    counts = Counter()

    @fuzzed(size)
    @given(malformed(lines_of(fitted, 6)), st.booleans())
    def check(data, labelled):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        (tmp_path / "a.csv").write_bytes(data)
        label = ("--label", "defekt") if labelled else ("--drop", "defekt")
        arguments = ["fit", "a.csv", "-o", "deep/model", *label, *READ]
        done = delvm(*arguments, "--recipe", fitted / "quick.toml")
        counts[done.returncode] += 1
        left = {path.name for path in tmp_path.rglob("*")}
        if refused(done):
            assert left == {"a.csv"}
        else:
            assert {"model", "detector.json"} <= left

    check()
    assert counts[1] >= size / 2, counts


@pytest.mark.parametrize("size", [6, pytest.param(150, marks=SLOW)])
def test_malformed_files_are_scored_right_or_refused(delvm, fitted, tmp_path, size):
    detector = dv.load_detector(fitted / "model")
    counts = Counter()

    @fuzzed(size)
    @given(malformed(lines_of(fitted, 6), whole=6))
    def check(data):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        (tmp_path / "a.csv").write_bytes(data)
        done = delvm("score", fitted / "model", "a.csv", "-o", "deep/s.csv", "--explain", 1)
        counts[done.returncode] += 1
        left = {path.name for path in tmp_path.rglob("*")}
        if refused(done):
            assert left == {"a.csv"}
            return
        assert left == {"a.csv", "deep", "s.csv"}
        found = pd.read_csv(tmp_path / "deep" / "s.csv")
        table = pd.read_csv(
            tmp_path / "a.csv", sep=";", decimal=",", dtype={"Maschine": str},
            keep_default_na=False, na_values={n: ["", "NA"] for n in ("Temperatur (°C)", "Druck")},
        )  # fmt: skip
        scores = detector.anomaly_score(table.assign(Maschine=table["Maschine"].str.strip()))
        np.testing.assert_allclose(found["anomaly_score"], scores, rtol=1e-4, atol=1e-4)

    check()
    assert min(counts[0], counts[1]) > size / 10, counts
