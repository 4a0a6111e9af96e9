"""Optional channels go by chance, required ones never, and what is absent stays exactly 0."""

import dataclasses

import numpy as np
import pytest
import torch

from client.data.augmentation import Change, apply_change, draw_change
from client.data.case import PreparedCase
from client.data.modality_dropout import draw_absent
from client.data.sampling import PatchSampler
from common.plan import AugmentationSpec, TrainingSpec
from tests.client.prepared import ball_case, case_of

SPEC = TrainingSpec(patch_size=(8, 8, 8))
HALF = SPEC.model_copy(update={"modality_dropout": 0.5})
EVERYTHING = AugmentationSpec(flip=1.0, rotate=1.0, scale=1.0, gamma=1.0, noise=1.0, brightness=1.0)


def three_channels(absent: tuple[int, ...] = ()) -> PreparedCase:
    image = np.random.default_rng(3).standard_normal((3, 12, 12, 12), dtype=np.float32)
    image[list(absent)] = 0.0
    label = np.zeros((12, 12, 12), np.uint8)
    label[5:7, 5:7, 5:7] = 1
    return dataclasses.replace(case_of("a", image, label), absent_channels=absent)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_each_optional_channel_goes_as_often_as_asked_and_by_itself(probability: float) -> None:
    draws = [draw_absent((), (1, 2), probability, np.random.default_rng(seed)) for seed in range(4000)]
    for channel in (1, 2):
        share = np.mean([channel in draw for draw in draws])
        assert share == pytest.approx(probability, abs=4 * np.sqrt(0.25 / 4000))
    assert np.mean([draw == (1, 2) for draw in draws]) == pytest.approx(probability**2, abs=0.032)
    assert not any(0 in draw for draw in draws)


def test_what_a_case_lacks_stays_absent_and_does_not_move_the_other_draws() -> None:
    whole, partial = (np.random.default_rng(0) for _ in range(2))
    for _ in range(50):
        all_there, one_there = draw_absent((), (1, 2), 0.5, whole), draw_absent((1,), (1, 2), 0.5, partial)
        assert 1 in one_there and (2 in one_there) == (2 in all_there)


def test_at_0_nothing_is_drawn() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert draw_absent((2,), (1, 2), 0.0, rng) == (2,)
    assert rng.bit_generator.state == before


def test_a_sampler_without_dropout_draws_what_it_always_drew() -> None:
    """The first two generators that `rng` spawns are those of old: places and changes keep their bits."""
    case, spec = ball_case(1), SPEC.model_copy(update={"augmentation": EVERYTHING})
    _, changes = np.random.default_rng(5).spawn(2)
    batches = [
        PatchSampler([case], one, np.random.default_rng(5), channels).next()
        for one, channels in ((spec, ()), (spec, (1,)), (spec.model_copy(update={"modality_dropout": 0.5}), (1,)))
    ]
    for batch in batches[1:]:
        assert torch.equal(batch.image, batches[0].image) and torch.equal(batch.label, batches[0].label)
    for change in batches[0].changes:
        drawn = draw_change(EVERYTHING, 2, changes)
        assert (change.noise_seed, change.gamma, change.absent) == (drawn.noise_seed, drawn.gamma, ())
    again = [dataclasses.replace(change, absent=()) for change in batches[2].changes]
    assert [change.noise_seed for change in again] == [change.noise_seed for change in batches[0].changes]


def test_the_samplers_share_of_dropped_channels() -> None:
    sampler = PatchSampler([three_channels()], HALF, np.random.default_rng(2), (2,))
    absent = [change.absent for _ in range(200) for change in sampler.next().changes]
    assert set(absent) == {(), (2,)}
    assert np.mean([bool(one) for one in absent]) == pytest.approx(0.5, abs=0.1)


def test_a_missing_channel_is_exactly_0_through_every_augmentation() -> None:
    case = three_channels(absent=(1,))
    spec = SPEC.model_copy(update={"augmentation": EVERYTHING})
    batch = PatchSampler([case], spec, np.random.default_rng(0), (1, 2)).next()
    for image, label, change in zip(batch.image, batch.label, batch.changes, strict=True):
        assert change.absent == (1,)
        changed, _ = apply_change(image, label, change)
        assert not changed[1].any() and changed[0].any() and changed[2].any()
        filled, _ = apply_change(image, label, dataclasses.replace(change, absent=()))
        assert filled[1].any()  # noise alone would fill it


def test_a_dropped_channel_leaves_the_others_as_they_are() -> None:
    case = three_channels()
    image, label = torch.from_numpy(case.image), torch.zeros((12, 12, 12), dtype=torch.int64)
    change = draw_change(EVERYTHING, 3, np.random.default_rng(4))
    whole, _ = apply_change(image, label, change)
    for absent in ((1,), (1, 2)):
        dropped, _ = apply_change(image, label, dataclasses.replace(change, absent=absent))
        kept = [channel for channel in range(3) if channel not in absent]
        assert torch.equal(dropped[kept], whole[kept]) and not dropped[list(absent)].any()
    untouched, _ = apply_change(image, label, Change(absent=(0,)))
    assert image[0].any() and not untouched[0].any()
