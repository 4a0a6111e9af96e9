import numpy as np
import pytest
from scipy.interpolate import BSpline

from simulation.phantom.fields import Lattice, SamplingGrid, generator


def test_basis_is_the_cubic_b_spline() -> None:
    lattice = Lattice(step_mm=8.0)
    points = np.linspace(-60.0, 60.0, 41, dtype=np.float32)
    knots = (np.arange(lattice.count + 4) - (lattice.count - 1) / 2 - 2) * 8.0
    expected = BSpline.design_matrix(points.astype(np.float64), knots, 3).toarray()
    assert np.abs(lattice.basis(points).toarray() - expected).max() < 1e-5


def test_sampling_is_separable_and_keeps_linear_functions() -> None:
    lattice = Lattice(step_mm=10.0)
    axis = lattice.axis_mm()
    control = axis[:, None, None] + 2.0 * axis[None, :, None] - axis[None, None, :]
    x, y, z = (np.array(values, dtype=np.float32) for values in ([3.0, 40.0], [-7.0], [11.0, 0.5, -33.0]))
    sampled = lattice.sample(control, (x, y, z))
    assert sampled.shape == (2, 1, 3)
    assert np.allclose(sampled, x[:, None, None] + 2.0 * y[None, :, None] - z[None, None, :], atol=1e-3)
    points = np.array([[3.0, -7.0, 11.0], [40.0, -7.0, -33.0]], dtype=np.float32)
    assert np.allclose(lattice.sample_at(control, points), [3 - 14 - 11, 40 - 14 + 33], atol=1e-3)


def test_generators_depend_on_the_whole_key() -> None:
    values = {
        generator(*key).random() for key in ((0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a", "1x"))
    }
    assert len(values) == 5
    assert generator(0, "a", 1).random() == generator(0, "a", 1).random()


@pytest.mark.parametrize("thickness_mm", [3.0, 5.0, 7.0])
def test_slice_weights_average_a_slope_to_the_slice_centres(thickness_mm: float) -> None:
    grid = SamplingGrid((8, 8, 20), (1.0, 1.0, 5.0), 3, thickness_mm)
    weights = grid.slice_weights(thickness_mm)
    assert np.allclose(weights.sum(axis=0), 1.0, atol=1e-6)
    volume = np.broadcast_to(grid.fine_axes_mm()[2], grid.fine_shape)
    slices = grid.to_slices(volume, thickness_mm)
    assert np.allclose(slices, volume @ weights, atol=1e-4)
    assert np.allclose(slices[3, 4, 1:-1], ((np.arange(20) - 9.5) * 5.0)[1:-1], atol=1e-4)
