from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.inferers import sliding_window_inference

from client.inference import predict, window_step
from common.model.build import build_model
from common.plan import EvaluationSpec, ModelSpec

CPU = torch.device("cpu")
MODEL = ModelSpec(name="unet_small", channels=(4, 8))
PATCH = (16, 16, 16)


class Counting(torch.nn.Module):
    """A network that notes how many windows it saw."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[int] = []

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        self.seen.append(patches.shape[0])
        result: torch.Tensor = self.inner(patches)
        return result


def _image(shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)


def _brain(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    return np.ones(shape, np.uint8)


@pytest.mark.parametrize("shape", [(29, 24, 17), (16, 16, 16), (40, 9, 20)])
@pytest.mark.parametrize(("overlap", "weights"), [(0.5, "gaussian"), (0.25, "gaussian"), (0.5, "constant")])
def test_agrees_with_monais_sliding_window_where_the_brain_is_everywhere(
    shape: tuple[int, int, int], overlap: float, weights: Literal["gaussian", "constant"]
) -> None:
    model = build_model(MODEL, 2, 3, seed=0).eval()
    image = _image(shape)
    spec = EvaluationSpec(window_overlap=overlap, window_weights=weights, window_batch=3)
    with torch.inference_mode():
        oracle = sliding_window_inference(
            torch.from_numpy(image)[None],
            PATCH,
            3,
            lambda patches: model(patches).softmax(1)[:, 1:],
            overlap=overlap,
            mode=weights,
        )
    got = predict(model, image, _brain(shape), spec, PATCH, CPU)
    assert got.shape == (2, *shape) and got.dtype == np.float32
    np.testing.assert_allclose(got, oracle[0].numpy(), atol=1e-6)


def test_mirroring_is_the_mean_over_eight_flips() -> None:
    model = build_model(MODEL, 2, 2, seed=0)
    image, shape = _image(PATCH), PATCH
    still = EvaluationSpec(mirror=False)
    flips: list[tuple[int, ...]] = [(), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)]
    parts = [
        np.flip(predict(model, np.flip(image, axes).copy(), _brain(shape), still, PATCH, CPU), axes)
        for axes in flips
    ]
    got = predict(model, image, _brain(shape), EvaluationSpec(mirror=True), PATCH, CPU)
    np.testing.assert_allclose(got, np.mean(parts, axis=0), atol=1e-6)
    assert not np.allclose(got, parts[0], atol=1e-4)


def test_windows_without_brain_are_skipped_and_the_others_batched() -> None:
    model = Counting(build_model(MODEL, 2, 2, seed=0))
    mask = np.zeros((48, 16, 16), np.uint8)
    mask[:10] = 1
    spec = EvaluationSpec(window_overlap=0.5, window_batch=4)
    got = predict(model, _image((48, 16, 16)), mask, spec, PATCH, CPU)
    assert model.seen == [2]  # of five windows, those that begin at 0 and 8
    assert not got[:, 10:].any() and got[:, :10].min() > 0.0
    full = Counting(model.inner)
    predict(full, _image((48, 16, 16)), _brain((48, 16, 16)), spec, PATCH, CPU)
    assert full.seen == [4, 1]


def test_a_case_without_brain_has_probability_zero_of_every_class() -> None:
    model = build_model(MODEL, 2, 4, seed=0)
    got = predict(model, _image((20, 20, 20)), np.zeros((20, 20, 20), np.uint8), EvaluationSpec(), PATCH, CPU)
    assert got.shape == (3, 20, 20, 20) and not got.any()


def test_a_memory_mapped_image_gives_the_same_bits(tmp_path: Path) -> None:
    model, image = build_model(MODEL, 2, 2, seed=0), _image((20, 18, 24))
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "mask.npy", _brain((20, 18, 24)))
    image_map = np.load(tmp_path / "image.npy", mmap_mode="r")
    mask_map = np.load(tmp_path / "mask.npy", mmap_mode="r")
    mapped = predict(model, image_map, mask_map, EvaluationSpec(), PATCH, CPU)
    np.testing.assert_array_equal(
        mapped, predict(model, image, _brain((20, 18, 24)), EvaluationSpec(), PATCH, CPU)
    )


def test_a_network_with_deep_supervision_predicts_its_finest_level() -> None:
    spec = ModelSpec(name="unet", channels=(4, 8, 8, 8), deep_supervision=True)
    model = build_model(spec, 2, 2, seed=0).train()
    got = predict(model, _image(PATCH), _brain(PATCH), EvaluationSpec(), PATCH, CPU)
    with torch.inference_mode():
        oracle = model(torch.from_numpy(_image(PATCH))[None]).softmax(1)[0, 1:]
    np.testing.assert_allclose(got, oracle.numpy(), atol=1e-6)


def test_window_step() -> None:
    assert window_step((64, 64, 64), 0.5) == (32, 32, 32)
    assert window_step((2, 2, 2), 0.9) == (1, 1, 1)
