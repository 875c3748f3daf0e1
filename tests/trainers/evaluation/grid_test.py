import numpy as np
import pytest

from trainers.evaluation.densities import five_gaussians
from trainers.evaluation.grid import SquareGrid, integrate

GRID, WIDE = SquareGrid(12.0, 241), SquareGrid(60.0, 121)


def test_the_points_run_row_by_row():
    grid = SquareGrid(2.0, 5)
    np.testing.assert_array_equal(grid.axis, [-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(grid.points[:2], [[-2, -2], [-1, -2]])
    np.testing.assert_array_equal(grid.square(grid.points[:, 1])[3], np.ones(5))
    assert grid.step == 1.0


def test_log_z_of_a_gaussian_is_exact():
    precision = np.array([[2.0, 0.6], [0.6, 0.9]])
    integral = integrate(
        lambda x: 5.0 - 0.5 * np.einsum("ni,ij,nj->n", x, precision, x), GRID, WIDE
    )
    expected = 5.0 + np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(precision))
    assert integral.log_normalizer == pytest.approx(expected, abs=1e-8)
    assert integral.problem == ""
    assert integral.border_mass < 1e-12
    assert integral.mass_beyond < 1e-12


def test_a_density_integrates_to_one():
    integral = integrate(five_gaussians().log_density, GRID, WIDE)
    assert integral.log_normalizer == pytest.approx(0.0, abs=1e-8)
    assert integral.problem == ""


def radius(x):
    return np.linalg.norm(x, axis=1)


@pytest.mark.parametrize(
    ("log_density", "message"),
    [
        (lambda x: 0.1 * radius(x) ** 2, "at its border"),
        (lambda x: np.zeros(len(x)), "at its border"),
        (lambda x: -0.5 * (radius(x) / 6.0) ** 2, "at its border"),
        # a hill in the middle, then nothing for a while, and growth beyond the grid
        (lambda x: np.where(radius(x) < 20, -(radius(x) ** 2), radius(x)), "lies beyond"),
        (lambda x: -0.5 * (radius(x) / 0.02) ** 2, "too rough"),
        (lambda x: np.where(radius(x) < 1, np.inf, 0.0), "not finite"),
        (lambda x: np.where(radius(x) < 1, np.nan, 0.0), "not finite"),
    ],
)
def test_what_cannot_be_integrated_is_said(log_density, message):
    assert message in integrate(log_density, GRID, WIDE).problem


def test_wrong_grids_are_refused():
    with pytest.raises(ValueError, match="odd number"):
        SquareGrid(1.0, 10)
    with pytest.raises(ValueError, match="positive number"):
        SquareGrid(0.0, 11)
    with pytest.raises(ValueError, match="must be wider"):
        integrate(five_gaussians().log_density, GRID, GRID)
