"""Several models as one: by hand, with networks that say the same everywhere."""

import numpy as np
import pytest
import torch

from client.ensemble import Member, mean_and_disagreement, predict_together, require_same_labels
from client.prediction import native_probabilities
from common.errors import ModelRefused
from common.plan import Plan, PostprocessingSpec, PreprocessingSpec, TrainingSpec
from tests.client.prepared import ball_case, case_of

CPU = torch.device("cpu")
SHAPE = (9, 8, 10)
PLAN = Plan(
    name="p", sites=("a",), sequences=("t1c", "flair"), training=TrainingSpec(patch_size=(8, 8, 8)), seed=1
)


class Constant(torch.nn.Module):
    """The same probabilities of the foreground classes everywhere."""

    def __init__(self, *foreground: float) -> None:
        super().__init__()
        self.logits = torch.log(torch.tensor([1.0 - sum(foreground), *foreground]))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.logits[None, :, None, None, None].expand(len(patches), -1, *patches.shape[2:])


def everywhere(*foreground: float) -> np.ndarray:
    return np.stack([np.full(SHAPE, value, np.float32) for value in foreground])


@pytest.mark.parametrize(
    ("said", "mean", "disagreement"),
    [
        ((0.2, 0.8), 0.5, 0.3),
        ((0.0, 1.0), 0.5, 0.5),
        ((0.0, 0.0, 1.0), 1 / 3, np.sqrt(2) / 3),
        ((0.7, 0.7, 0.7), 0.7, 0.0),
        ((0.4,), 0.4, 0.0),
    ],
)
def test_mean_and_disagreement_by_hand(said: tuple[float, ...], mean: float, disagreement: float) -> None:
    got, spread = mean_and_disagreement(everywhere(value) for value in said)
    assert got.dtype == spread.dtype == np.float32
    assert (got.shape, spread.shape) == ((1, *SHAPE), SHAPE)
    np.testing.assert_allclose(got, mean, rtol=1e-6)
    np.testing.assert_allclose(spread, disagreement, rtol=1e-6)


def test_disagreement_is_of_all_foreground_together() -> None:
    """Two models that name the class differently agree that there is something."""
    mean, spread = mean_and_disagreement([everywhere(0.6, 0.2), everywhere(0.2, 0.6)])
    np.testing.assert_allclose(mean, 0.4, rtol=1e-6)
    np.testing.assert_allclose(spread, 0.0, atol=1e-7)


def test_agrees_with_numpy_in_any_order() -> None:
    rng = np.random.default_rng(2)
    said = [rng.random((2, *SHAPE), dtype=np.float32) * np.float32(0.5) for _ in range(5)]
    mean, spread = mean_and_disagreement(said)
    np.testing.assert_allclose(mean, np.mean(said, axis=0, dtype=np.float64), atol=1e-7)
    np.testing.assert_allclose(spread, np.std([one.sum(axis=0) for one in said], axis=0), atol=1e-6)
    assert spread.max() <= 0.5
    again, _ = mean_and_disagreement(said[::-1])
    np.testing.assert_allclose(again, mean, atol=1e-7)


def test_one_model_is_itself_to_the_bit() -> None:
    said = np.random.default_rng(3).random((2, *SHAPE), dtype=np.float32)
    mean, spread = mean_and_disagreement([said])
    np.testing.assert_array_equal(mean, said)
    assert not spread.any()


def test_no_model_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="no models"):
        mean_and_disagreement([])


def test_constant_networks_give_their_mean_and_their_disagreement_in_the_brain_alone() -> None:
    mask = np.ones(SHAPE, np.uint8)
    mask[5:] = 0
    case = case_of("p", np.zeros((2, *SHAPE), np.float32), None, mask)
    members = [Member(Constant(value), PLAN, case) for value in (0.2, 0.8)]
    found = predict_together(members, case.native, CPU, own_masks=True)
    np.testing.assert_allclose(found.probabilities[:, :5], 0.5, atol=1e-6)
    np.testing.assert_allclose(found.disagreement[:5], 0.3, atol=1e-6)
    assert not found.probabilities[:, 5:].any() and not found.disagreement[5:].any()
    assert [int(own.sum()) for own in found.masks] == [0, 5 * 8 * 10]


def test_keeping_what_lies_outside_the_brain_is_a_setting_of_the_plan() -> None:
    mask = np.ones(SHAPE, np.uint8)
    mask[5:] = 0
    case = case_of("p", np.zeros((2, *SHAPE), np.float32), None, mask)
    kept = PLAN.model_copy(update={"postprocessing": PostprocessingSpec(outside_brain="keep")})
    np.testing.assert_allclose(native_probabilities(Constant(0.8), case, kept, CPU), 0.8, atol=1e-6)


def test_members_may_have_spacings_and_patches_of_their_own() -> None:
    """The second model's case lies on voxels of twice the size, centred as the first one's pairs of voxels."""
    fine, coarse = ball_case(1, (8, 8, 12), radius=2), ball_case(2, (4, 4, 6), radius=1)
    coarse.grid.affine[:] = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse.grid.affine[:3, 3] = 0.5
    other = PLAN.model_copy(
        update={
            "preprocessing": PreprocessingSpec(spacing_mm=(2.0, 2.0, 2.0)),
            "training": TrainingSpec(patch_size=(4, 4, 4)),
        }
    )
    found = predict_together(
        [Member(Constant(0.2), PLAN, fine), Member(Constant(0.8), other, coarse)], fine.native, CPU
    )
    np.testing.assert_allclose(found.probabilities, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.disagreement, 0.3, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (("core",), "class 1 is 'tumour' in model one and 'core' in model two"),
        (("tumour", "oedema"), "class 2 is missing in model one and 'oedema' in model two"),
    ],
)
def test_models_of_other_labels_are_refused_with_the_first_difference(labels: tuple[str, ...], text: str) -> None:
    other = PLAN.model_copy(update={"labels": labels})
    with pytest.raises(ModelRefused, match=text):
        require_same_labels([("model one", PLAN), ("model two", other)])
    require_same_labels([("model one", PLAN), ("model two", PLAN)])
