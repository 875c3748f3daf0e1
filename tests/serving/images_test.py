"""Files of images and encoded images give the same scores, at full depth."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.serving import load
from delvm_tf.serving.scoring import score_files

RNG = np.random.default_rng(0)


def exported(base, most, channels=1, white=None):
    """A model of images with values up to `most`."""
    x = (RNG.uniform(size=(60, 4, 6, channels)) * most).astype("float32")
    model = dv.DELVM(dv.networks.cnn((2,), 3, seed=0), normalization="center")
    model.adapt(x)
    return model, load(dv.export_saved_model(model, base, white=white, warmup=()))


def encoded(image, kind="PNG", **settings):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    ("most", "white"),
    [pytest.param(1, 1.0, marks=pytest.mark.slow), (255, 255.0), (65535, 65535.0)],
)
def test_files_and_bytes_are_scored_at_full_depth(most, white, tmp_path):
    model, served = exported(tmp_path / "m", most)
    assert served.card.white == white
    deep = RNG.integers(0, 65536, (4, 6)).astype("uint16")
    for image in (deep, (deep // 256).astype("uint8")):
        (tmp_path / "a.png").write_bytes(encoded(image))
        arguments = served, f"{tmp_path}/a.png", tmp_path / "s.parquet"
        if image.dtype == "uint16" and white == 255:
            with pytest.raises(ContentsError, match=r"a\.png: the image has 16 bits"):
                score_files(*arguments)
            with pytest.raises(ValueError, match="the image has 16 bits, and the model takes 8"):
                served.predict([encoded(image)], "encoded_images")
            continue
        raw = image[None, ..., None].astype("float64") / np.iinfo(image.dtype).max * white
        expected = np.asarray(model.reconstruction_error(raw.astype("float32")))
        found = served.predict([encoded(image)], "encoded_images")["reconstruction_error"]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        summary = score_files(*arguments)
        table = parquet.read_table(tmp_path / "s.parquet")
        np.testing.assert_allclose(table["reconstruction_error"], expected, rtol=1e-4)
        scaled = [f"pixels are scaled so that white is {white:g}, as the card says"]
        assert summary.notes == ([] if white == np.iinfo(image.dtype).max else scaled)


def test_colours_are_converted_rightly_or_refused(tmp_path):
    rgb = RNG.integers(0, 256, (4, 6, 3)).astype("uint8")
    grey = rgb[..., 0]
    palette = Image.fromarray(rgb).convert("P", palette=Image.ADAPTIVE)
    frames = [Image.fromarray(rgb), Image.fromarray(rgb[::-1])]
    _, one = exported(tmp_path / "1", 255)
    model, three = exported(tmp_path / "3", 255, channels=3)
    for content, pixels in (
        (encoded(rgb), rgb),
        (encoded(palette), np.asarray(palette.convert("RGB"))),
        (encoded(rgb, "BMP"), rgb),
        (encoded(palette.convert("RGB"), "GIF"), np.asarray(palette.convert("RGB"))),
    ):
        expected = model.reconstruction_error(pixels[None].astype("float32"))
        found = three.predict([content], "encoded_images")["reconstruction_error"]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert one.predict([encoded(grey, "BMP"), encoded(grey > 9)], "encoded_images")
    size = r"expected an image of shape"
    for served, content, message in (
        (one, encoded(rgb), size),
        (three, encoded(grey), size),
        (three, encoded(Image.fromarray(rgb).convert("RGBA")), size),
        (one, encoded(Image.fromarray(grey).convert("LA")), size),
        (one, encoded(grey[:3]), size),
        (three, encoded(rgb.transpose(1, 0, 2)), size),
        (three, encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), size),
        (one, encoded(palette, "BMP"), "palette of colours"),
        (three, encoded(frames[0], "WEBP"), "not PNG, JPEG, BMP or GIF"),
        (one, b"", "not PNG, JPEG, BMP or GIF"),
        (one, b"\x89PNG\r\n\x1a\n", "refuses rows 0 to 0"),
    ):
        with pytest.raises(ValueError, match=message):
            served.predict([content], "encoded_images")


def test_the_graph_reads_what_a_stream_reads(tmp_path):
    """The same file through the stream and the model, and through the served graph."""
    image = RNG.integers(0, 65536, (4, 6)).astype("uint16")
    (tmp_path / "a.png").write_bytes(encoded(image))
    model, served = exported(tmp_path / "m", 65535)
    (x,) = dv.datasets.streams.stream(tmp_path / "a.png")
    assert x.dtype == tf.uint16
    np.testing.assert_allclose(
        served.predict([encoded(image)], "encoded_images")["reconstruction_error"],
        model.reconstruction_error(x), rtol=1e-4,
    )  # fmt: skip
