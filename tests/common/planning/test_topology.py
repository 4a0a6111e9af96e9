import pytest

from common.planning.topology import plan_topology


@pytest.mark.parametrize(
    ("edge", "padded", "halvings"),
    [(7.0, 7, 0), (8.0, 8, 1), (9.0, 10, 1), (16.0, 16, 2), (100.5, 112, 4), (128.0, 128, 5), (129.0, 160, 5)],
)
def test_cubes_are_halved_while_eight_voxels_are_left(edge: float, padded: int, halvings: int) -> None:
    topology = plan_topology((1.0, 1.0, 1.0), (edge, edge, edge))
    assert topology.patch_size == (padded,) * 3
    assert len(topology.strides) == halvings + 1
    assert min(topology.bottom) >= 4


def test_an_axis_alone_needs_twelve_voxels() -> None:
    assert plan_topology((1.0, 1.0, 1.0), (11, 7, 7)).strides == ((1, 1, 1),)
    assert plan_topology((1.0, 1.0, 1.0), (12, 7, 7)).strides == ((1, 1, 1), (2, 1, 1))


def test_twice_as_coarse_is_coarse() -> None:
    near, far = plan_topology((1.99, 1.0, 1.0), (64, 64, 64)), plan_topology((2.0, 1.0, 1.0), (64, 64, 64))
    assert (near.strides[1], near.kernel_sizes[0]) == ((2, 2, 2), (3, 3, 3))
    assert (far.strides[1], far.kernel_sizes[0]) == ((1, 2, 2), (1, 3, 3))


def test_a_short_fine_axis_keeps_a_coarse_kernel_flat() -> None:
    # the fine axes are too short to be halved, so the coarse one is, and its kernel stays 1 but at the bottom
    topology = plan_topology((5.0, 1.0, 1.0), (64, 7, 7))
    assert topology.strides == ((1, 1, 1), *((2, 1, 1),) * 3)
    assert topology.kernel_sizes == (*((1, 3, 3),) * 3, (3, 3, 3))


def test_widths_double_to_320() -> None:
    assert plan_topology((1.0, 1.0, 1.0), (256, 256, 256)).channels == (32, 64, 128, 256, 320, 320, 320)
