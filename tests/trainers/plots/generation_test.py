import numpy as np
import pytest
from PIL import Image

from delvm_tf.plots.figure import save_figure
from trainers.plots import generation
from trainers.plots.generation import (
    plot_completions,
    plot_denoising,
    plot_grid,
    plot_neighbours,
    plot_sheet,
    plot_strips,
    save_animation,
)


@pytest.fixture
def images(rng):
    return rng.uniform(0, 16, (10, 8, 6, 1))


def shown(figure):
    """Left, top and contents of each image, the first channel."""
    found = []
    for image in figure.axes[0].images:
        left, _, _, top = image.get_extent()
        found.append((left, top, np.asarray(image.get_array())[..., 0]))
    return found


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_grid_has_all_images_in_order_scaled_to_the_range(images, tmp_path):
    figure = plot_grid(images, 0, 16, columns=4, title="drawn")
    found = shown(figure)
    assert len(found) == 10
    places = [(top, left) for left, top, _ in found]
    assert places == sorted(places)
    assert len({top for top, _ in places}) == 3
    for (_, _, picture), image in zip(found, images, strict=True):
        np.testing.assert_allclose(picture, image[..., 0] / 16, atol=1e-6)
    assert figure.axes[0].get_title() == "drawn"
    assert save_figure(figure, tmp_path / "grid.png").stat().st_size > 2000


def test_values_out_of_range_are_cut_and_colours_stay(rng):
    tile = rng.uniform(-50, 300, (1, 1, 4, 4, 3))
    (image,) = plot_sheet(tile, -20, 230).axes[0].images
    expected = np.clip((tile[0, 0] + 20) / 250, 0, 1)
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)


def test_drawn_images_stand_beside_their_neighbours(images):
    neighbours = np.stack([images[::-1], images], axis=1)
    found = shown(plot_neighbours(images, neighbours, 0, 16, blocks=3))
    assert len(found) == 30
    np.testing.assert_allclose(found[3][2], images[1, ..., 0] / 16, atol=1e-6)
    np.testing.assert_allclose(found[4][2], images[8, ..., 0] / 16, atol=1e-6)
    np.testing.assert_allclose(found[5][2], found[3][2])
    lefts = [left for left, top, _ in found if top == 0]
    steps = np.diff(lefts)
    assert steps[2] > steps[0] + 0.2  # more room before the next drawn one
    assert steps[0] == pytest.approx(steps[1])


def test_denoising_names_its_levels_and_keeps_its_order(images):
    groups = {0.5: (images + 1, images + 2, images + 3), 2.0: (images, images, images)}
    figure = plot_denoising(images, groups, 0, 32)
    assert words(figure) == ["clean", "σ = 0.5", "mean", "draw", "σ = 2", "mean", "draw"]
    found = shown(figure)
    for column in range(4):
        expected = (images[0, ..., 0] + column) / 32
        np.testing.assert_allclose(found[column][2], expected, atol=1e-6)


def test_what_is_not_known_is_grey(images):
    known = np.zeros((8, 6, 1), bool)
    known[:4] = True
    figure = plot_completions(images, known, np.stack([images, images]), 0, 16)
    image, masked, first, _ = [picture for _, top, picture in shown(figure) if top == 0]
    np.testing.assert_allclose(masked[:4], image[:4])
    np.testing.assert_allclose(masked[4:], 0.5)
    np.testing.assert_allclose(first, image)
    assert words(figure) == ["image", "known", "draws", ""]


def test_strips_run_from_left_to_right(images):
    figure = plot_strips(np.stack([images[:2], images[2:4], images[4:6]]), 0, 16, list("abc"))
    found = shown(figure)
    order = [found.index(each) for each in sorted(found, key=lambda each: each[1::-1])]
    assert order == list(range(6))
    np.testing.assert_allclose(found[1][2], images[2, ..., 0] / 16, atol=1e-6)
    assert words(figure) == ["a", "b", "c"]


def test_an_animation_moves_through_all_frames(images, tmp_path):
    trajectory = np.stack([images * k / 4 for k in range(5)])
    path = save_animation(trajectory, tmp_path / "a.gif", 0, 16, columns=5, side=16)
    with Image.open(path) as gif:
        assert gif.n_frames == 5
        assert gif.size == (5 * (12 + 1) - 1, 2 * (16 + 1) - 1)
        gif.seek(0)
        first = np.asarray(gif.convert("L"))
        assert first[:16, :12].max() == 0
        gif.seek(4)
        last = np.asarray(gif.convert("L"))
    expected = np.rint(255 * images[0, ..., 0] / 16).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(last[:16, :12], expected, atol=3)


def test_an_animation_that_is_too_large_loses_frames_but_not_the_last(rng, tmp_path, monkeypatch):
    trajectory = rng.uniform(0, 255, (10, 4, 16, 16, 3))
    monkeypatch.setattr(generation, "LARGEST", 20_000)
    path = save_animation(trajectory, tmp_path / "a.gif", 0, 255, columns=2, side=32)
    assert path.stat().st_size < 20_000
    with Image.open(path) as gif:
        assert 1 < gif.n_frames < 10
        gif.seek(gif.n_frames - 1)
        last = np.asarray(gif.convert("RGB"))[:32:2, :32:2]
    assert np.abs(last - trajectory[-1, 0]).mean() < 40  # a palette of 256 colours


def test_wrong_shapes_and_names_are_refused(images, tmp_path):
    with pytest.raises(ValueError, match="expected images"):
        plot_sheet(images, 0, 1)
    with pytest.raises(ValueError, match="low must be less"):
        plot_grid(images, 1, 1)
    with pytest.raises(ValueError, match=r"must end in \.gif"):
        save_animation(images[None], tmp_path / "a.png", 0, 16)
