import numpy as np
import pytest

from delvm_tf.plots.figure import save_figure
from delvm_tf.plots.filters import plot_filters


def pictures(figure):
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.get_images()]


@pytest.mark.parametrize("channels", [1, 3])
def test_each_filter_is_scaled_by_its_largest_weight(rng, tmp_path, channels):
    kernel = rng.normal(size=(5, 4, channels, 7))
    kernel[..., 2] = 0.0
    shown = pictures(figure := plot_filters(kernel))
    assert len(shown) == 7
    largest = np.abs(kernel[..., 3]).max()
    np.testing.assert_allclose(shown[3], np.squeeze(0.5 + 0.5 * kernel[..., 3] / largest))
    np.testing.assert_array_equal(shown[2], 0.5)
    assert save_figure(figure, tmp_path / "filters.png").stat().st_size > 1_000


def test_units_of_dense_layers_are_shown_as_images(rng):
    kernel = rng.normal(size=(4 * 3, 150))
    shown = pictures(plot_filters(kernel, (4, 3, 1), limit=20))
    assert len(shown) == 20
    expected = kernel[:, 5].reshape(4, 3)
    np.testing.assert_allclose(shown[5], 0.5 + 0.5 * expected / np.abs(expected).max())


@pytest.mark.parametrize(
    ("kernel", "shape", "message"),
    [
        (np.ones((5, 5, 2, 4)), None, "1 or 3, filters"),
        (np.ones((12, 4)), None, "with their image_shape"),
        (np.ones((12, 4)), (5, 5, 1), "with their image_shape"),
        (np.full((3, 3, 1, 2), np.nan), None, "NaN or infinite"),
    ],
)
def test_what_cannot_be_shown_is_refused(kernel, shape, message):
    with pytest.raises(ValueError, match=message):
        plot_filters(kernel, shape)


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="limit must be positive"):
        plot_filters(np.ones((3, 3, 1, 2)), limit=0)
