import numpy as np
import pytest

from delvm_tf.plots.figure import save_figure
from trainers.plots.density import plot_densities, plot_trajectories


@pytest.fixture
def grids():
    axis = np.linspace(-3, 3, 61)
    across, up = np.meshgrid(axis, axis)
    return {
        "truth": -0.5 * (across**2 + up**2),
        "shifted": -0.5 * ((across - 1) ** 2 + (up + 2) ** 2) + 3.0,
    }


def shown(figure):
    return [ax for ax in figure.axes if ax.axison]


def test_each_density_has_its_panel_and_one_scale_of_colours(grids, rng, tmp_path):
    figure = plot_densities(grids, 3.0, points=rng.normal(size=(200, 2)), columns=2)
    panels = shown(figure)
    assert [ax.get_title() for ax in panels] == ["data (200 points)", "truth", "shifted"]
    images = [ax.images[0] for ax in panels[1:]]
    for image in images:
        assert image.get_clim() == pytest.approx((0.0, 1.0))
    np.testing.assert_allclose(images[0].get_array(), np.exp(grids["truth"]))
    assert images[1].origin == "lower"
    assert images[1].get_array().max() == pytest.approx(np.e)  # what is brighter is cut off
    assert save_figure(figure, tmp_path / "f.png").stat().st_size > 8_000


def test_the_pixels_lie_where_the_points_of_the_grid_do(grids):
    (image,) = plot_densities({"shifted": grids["shifted"]}, 3.0).axes[0].images
    left, right, bottom, top = image.get_extent()
    row, column = np.unravel_index(np.argmax(grids["shifted"]), (61, 61))
    assert left + (column + 0.5) * (right - left) / 61 == pytest.approx(1.0)
    assert bottom + (row + 0.5) * (top - bottom) / 61 == pytest.approx(-2.0)


def test_paths_and_ends_of_chains(grids, rng, tmp_path):
    trajectory = rng.normal(size=(12, 50, 2))
    figure = plot_trajectories(trajectory, grids["truth"], 3.0, shown=4, title="paths")
    paths, ends = figure.axes
    lines = [line for line in paths.lines if len(line.get_xdata()) > 1]
    assert len(lines) == 4
    np.testing.assert_allclose(lines[2].get_xydata(), trajectory[:, 2])
    np.testing.assert_allclose(ends.collections[0].get_offsets(), trajectory[-1])
    assert (paths.get_title(), ends.get_title()) == ("paths", "ends of 50 chains")
    assert save_figure(figure, tmp_path / "f.png").stat().st_size > 8_000
