"""The examples of the reference run, and show what comes out."""

import doctest
import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from docs_site_test import ROOT, documented

import delvm_tf as dv
from delvm_tf.detection import fitting

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Shown(doctest.OutputChecker):
    """Compares what an example shows; a result that it does not show may be anything."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def library():
    griffe = pytest.importorskip("griffe")
    return griffe.load("delvm_tf", search_paths=[str(ROOT)])


def names(text):
    """What examples speak of and do not make, as CONTRIBUTING.md says."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype("float32")
    images = rng.normal(size=(16, 8, 8, 1)).astype("float32")
    given = {"dv": dv, "keras": keras, "np": np, "tf": tf, "x": x, "images": images}
    if "model" in text:
        given["model"] = dv.DELVM(dv.networks.ffnn((4,), seed=0))
        given["model"].adapt(x)
        given["model"].compile("adam")
    return given


def example(library, path):
    """The lines of the section `Examples:` that are shown as code."""
    found = library[path.removeprefix("delvm_tf.")]
    docstring = (found.final_target if found.is_alias else found).docstring
    sections = [section for section in docstring.parse("google") if section.kind == "examples"]
    return "\n\n".join(text for each in sections for kind, text in each.value if kind == "examples")


@pytest.mark.parametrize("path", [*documented()])
def test_every_public_name_has_an_example_that_runs(path, library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(fitting, "STEPS", 30)
    load = sys.modules["delvm_tf.datasets.load"]
    monkeypatch.setattr(load, "_REGISTERED", {})
    text = example(library, path)
    test = doctest.DocTestParser().get_doctest(text, names(text), path, None, 0)
    assert test.examples, f"{path} has no section `Examples:` with lines that begin with >>>"
    said = []
    runner = doctest.DocTestRunner(Shown(), verbose=False, optionflags=FLAGS)
    assert runner.run(test, out=said.append).failed == 0, "".join(said)
