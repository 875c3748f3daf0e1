"""What the documentation shows, runs."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

ROOT = Path(__file__).parents[1]


def python_blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_the_ten_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    (example,) = python_blocks("README.md")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example.replace("epochs=20", "epochs=2, verbose=0"), names)
    assert "True" in capsys.readouterr().out
    assert (tmp_path / "saved_models/ecg5000/1/saved_model.pb").exists()


def test_the_models_of_the_architecture_page_train():
    names = {"keras": keras, "dv": dv, "tf": tf}
    for block in python_blocks("docs/architecture.md"):
        exec(block, names)
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    for model in (names["MyModel"](dv.networks.ffnn((6,))), names["Quartic"]()):
        model.adapt(x)
        model.compile()
        assert np.isfinite(model.fit(x, epochs=2, verbose=0).history["loss"]).all()


def test_the_own_layer_of_the_traces_page_is_exact_on_a_lattice():
    names = {"keras": keras, "dv": dv, "tf": tf}
    for block in python_blocks("docs/traces.md"):
        exec(block, names)
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), names["Scaling"](),
              keras.layers.Conv2D(2, 2, activation="softplus")]  # fmt: skip
    network = keras.Sequential([keras.Input((9, 8, 1)), *layers])
    assert dv.curvature.receptive_field(network, (9, 8, 1)) == (4, 4, 1)
    layers[1].factor.assign(1.7)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 9, 8, 1)), tf.float32)
    values = []
    for trace in ("lattice", "nested_tape"):
        model = dv.DELVM(network, objective=dv.ScoreMatching(trace), normalization="none")
        model.build((None, 9, 8, 1))
        values.append(model.objective.compute(model, x, training=True).loss)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(page):
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target
