"""The picture of the largest lesions: how large it is, what is drawn where, and that it says what it is not."""

import io

import matplotlib.image as mpimg
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure

from client.data.case import Grid
from client.data.volume import Volume
from client.lesion_picture import lesion_picture
from client.lesion_report import Lesion, measure_lesions
from tests.nifti import oriented_affine

SHAPE = (40, 36, 20)


def scene(codes: str, lesions: int) -> tuple[Volume, npt.NDArray[np.uint8], tuple[Lesion, ...]]:
    affine = oriented_affine(codes, (2.0, 2.0, 3.0), SHAPE)
    grid = Grid(SHAPE, affine)
    image = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    for number in range(lesions):
        mask[4 + 6 * number : 7 + 6 * number, 10:14, 8:12] = 1
    found = measure_lesions(mask, mask[None].astype(np.float32), grid, ("tumour",))
    return Volume(image, grid), mask, found


def drawn(picture: bytes) -> npt.NDArray[np.float32]:
    pixels: npt.NDArray[np.float32] = mpimg.imread(io.BytesIO(picture), format="png")
    return pixels


@pytest.mark.parametrize(
    ("lesions", "with_map", "panels"), [(0, False, (1, 1)), (1, False, (1, 3)), (6, True, (4, 4))]
)
def test_a_row_a_lesion_and_four_at_most(lesions: int, with_map: bool, panels: tuple[int, int]) -> None:
    image, mask, found = scene("RAS", lesions)
    spread = np.full(SHAPE, 0.3, np.float32) if with_map else None
    height, width, _ = drawn(lesion_picture(image, mask, found, spread)).shape
    assert (height, width) == (panels[0] * 330 + 30, panels[1] * 300)


def test_the_same_head_looks_the_same_whatever_the_files_orientation() -> None:
    affine = oriented_affine("RAS", (2.0, 2.0, 3.0), SHAPE)
    image, mask, found = scene("RAS", 1)
    flipped = Grid(SHAPE, affine @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    flipped.affine[:3, 3] = affine[:3, 3] + affine[:3, 0] * (SHAPE[0] - 1)
    again = lesion_picture(Volume(image.values[::-1], flipped), mask[::-1], found)
    assert again == lesion_picture(image, mask, found)


def test_outlines_are_where_the_mask_is_and_the_notice_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Figure, "text", lambda self, x, y, text, **more: said.append(text))
    image, mask, found = scene("RAS", 5)
    pixels = drawn(lesion_picture(image, mask, found))
    assert said == ["4 of 5 lesions shown; research software, not a medical device"]
    orange = (pixels[..., 0] > 0.9) & (pixels[..., 2] < 0.3)
    assert not orange[:, 300:600].any()  # close-ups without outlines
    assert orange[:, :300].any() and orange[:, 600:].any()
