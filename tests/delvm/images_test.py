"""A folder of images becomes a model with a report, or an error says what is wrong with it."""

import json

import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm.command import main
from delvm.images import _ninths
from delvm_tf.detection.images import pooled_codes


@pytest.fixture(scope="module", autouse=True)
def few_patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_codes, "PATCHES", 3000)
        yield


def write(folder, images, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        encoded = tf.io.encode_png(np.asarray(image)).numpy()
        (folder / f"{first + k:03}.png").write_bytes(encoded)


def stripes(n, seed, upright=True):
    """Grey images of stripes, which stand or lie, with noise."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n, 1, 1, 1)) + np.arange(12).reshape(1, 1, 12, 1)
    images = 120 + 60 * np.sin(phase) + rng.normal(0, 10, (n, 12, 12, 1))
    images = images if upright else images.transpose(0, 2, 1, 3)
    return np.clip(images, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write(folder / "photos" / "fine", stripes(60, 0))
    write(folder / "photos" / "odd", stripes(10, 1, upright=False), first=500)
    arguments = ["fit", folder / "photos", "-o", folder / "model", "--label", "folder"]
    assert main([*map(str, arguments), "--normal", "fine", "--quiet"]) == 0
    return folder


def test_the_model_is_a_detector_a_served_model_and_pages(fitted, delvm_json):
    found = delvm_json("info", fitted / "model")
    assert found["method"] == "codes of patches"
    assert found["data"]["image"] == [12, 12, 1]
    assert (found["data"]["normal"], found["data"]["abnormal"]) == (60, 10)
    assert found["comparison"][0]["auroc"] == 1
    assert {each["method"] for each in found["comparison"]} >= {"isolation forest"}
    x = stripes(5, 2)
    expected = dv.load_detector(fitted / "model").anomaly_score(x)
    served = dv.serving.load(fitted / "model" / "serving")
    assert served.card.white == 255
    answer = served.predict(x.astype(np.float32))["anomaly_score"]
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)
    assert "images of this size" in (fitted / "model" / "model_card.md").read_text()
    report = (fitted / "model" / "report.html").read_text()
    assert "ninths of an image" in report
    assert "<h2>Columns</h2>" not in report


def test_scores_of_the_command_are_those_of_the_detector(fitted, delvm, tmp_path):
    write(tmp_path / "new", stripes(6, 3))
    done = delvm("score", fitted / "model", tmp_path / "new", "-o", "scores.csv", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 6
    lines = (tmp_path / "scores.csv").read_text().splitlines()[1:]
    expected = dv.load_detector(fitted / "model").anomaly_score(stripes(6, 3))
    scores = [float(line.split(",")[2]) for line in lines]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "folder"], "--normal NAME"),
        (["--label", "folder", "--normal", "good"], "no image is in a folder 'good'"),
        (["--label", "class", "--normal", "fine"], "the label of images is the folder"),
        (["--drop", "x"], "only tables"),
        (["--kind", "x=text"], "images have no columns"),
    ],
)
def test_options_that_do_not_fit_images(fitted, delvm, arguments, message):
    done = delvm("fit", fitted / "photos", "-o", "m", *arguments)
    assert done.returncode == 1
    assert message in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((12, 13, 1), np.uint8), "all images must have one size"),
        (np.zeros((12, 12, 3), np.uint8), "12 × 12 pixels, 3 channels of 8 bits"),
        (np.zeros((12, 12, 1), np.uint16), "channels of 16 bits"),
    ],
)
def test_images_of_several_forms_are_refused(delvm, tmp_path, other, message):
    write(tmp_path / "photos", stripes(3, 0))
    write(tmp_path / "photos", [other], first=50)
    done = delvm("fit", tmp_path / "photos", "-o", "m")
    assert done.returncode == 1
    assert "050.png" in done.stderr
    assert message in done.stderr, done.stderr
    assert not (tmp_path / "m").exists()


def test_images_of_another_size_are_not_scored(fitted, delvm, tmp_path):
    write(tmp_path / "new", np.zeros((2, 12, 13, 1), np.uint8))
    done = delvm("score", fitted / "model", tmp_path / "new", "-o", "s.csv")
    assert done.returncode == 1
    expected = "(12, 13, 1), expected (12, 12, 1) (height, width, channels); resize or convert"
    assert expected in done.stderr, done.stderr


def test_columns_of_images_are_not_explained(fitted, delvm, tmp_path):
    arguments = ["score", fitted / "model", fitted / "photos", "-o", "s.csv"]
    done = delvm(*arguments, "--explain", "2")
    assert done.returncode == 1
    assert "explain names columns of tables" in done.stderr
    done = delvm(*arguments)
    assert "note:" not in done.stderr, done.stderr  # grey images of 8 bits stay as they are


def test_small_and_damaged_images_are_refused(delvm, tmp_path):
    write(tmp_path / "small", np.zeros((3, 7, 30, 1), np.uint8))
    done = delvm("fit", tmp_path / "small", "-o", "m")
    assert done.returncode == 1
    assert "sides must have 8 pixels or more" in done.stderr
    write(tmp_path / "damaged", stripes(3, 0))
    (tmp_path / "damaged" / "x.png").write_bytes(b"no image")
    done = delvm("fit", tmp_path / "damaged", "-o", "m")
    assert done.returncode == 1
    assert "x.png does not contain PNG" in done.stderr


def test_ninths_are_named_by_where_they_are():
    values = np.arange(9.0).repeat(4).reshape(3, 3, 2, 2).transpose(0, 2, 1, 3).reshape(6, 6)
    found = _ninths(values, np.sum)
    assert found["upper left"] == 0
    assert found["lower right"] == 32
    assert found["middle left"] == 12
    assert found["upper center"] == 4
