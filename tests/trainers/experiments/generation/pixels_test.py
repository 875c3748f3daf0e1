import numpy as np

from trainers.experiments.generation.pixels import PixelRange


def test_values_are_clipped_and_whole_where_those_of_the_data_are(rng):
    grey = PixelRange.of(np.uint8([[3, 250]]))
    assert grey == (3, 250, True)
    np.testing.assert_array_equal(grey.apply(np.array([-5.0, 3.4, 99.6, 300.0])), [3, 3, 100, 250])
    assert PixelRange.of(np.float32([0, 16])).whole
    real = PixelRange.of(np.float32([0.25, 0.75]))
    np.testing.assert_array_equal(real.apply(np.array([0, 0.3, 1])), np.float32([0.25, 0.3, 0.75]))
    assert real.apply(np.zeros(2)).dtype == np.float32
