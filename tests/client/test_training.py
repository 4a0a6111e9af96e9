from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from client.data.sampling import JoinedSampler, PatchSampler, round_seed
from client.training import FitLog, build_optimizer, fit, learning_rate
from common.errors import ConfigError, FailureCode, TrainingFailed
from common.model.build import build_model
from common.model.losses import build_loss
from common.model.weights import load_optimizer_tensors, load_weights, optimizer_tensors, weights_of
from common.plan import AugmentationSpec, ModelSpec, TrainingSpec
from common.weights import Weights
from tests.client.prepared import ball_case, case_of

CPU = torch.device("cpu")
MODEL = ModelSpec(name="unet_small", channels=(4, 8))
SPEC = TrainingSpec(steps=4, patch_size=(16, 16, 16), momentum=0.9)
PLAIN = SPEC.model_copy(
    update={
        "steps": 1,
        "momentum": 0.0,
        "nesterov": False,
        "gradient_clip_norm": None,
        "weight_decay": 0.0,
        "learning_rate": 0.1,
    }
)
STILL = AugmentationSpec(flip=0.0, rotate=0.0, scale=0.0, gamma=0.0, noise=0.0, brightness=0.0)


def _sampler(site: str, spec: TrainingSpec = SPEC, seed: int = 0) -> PatchSampler:
    cases = [ball_case(int(round_seed(seed, site, 0).generate_state(1)[0]) + i) for i in range(2)]
    return PatchSampler(cases, spec, np.random.default_rng(round_seed(seed, site, 1)))


def _fitted(spec: TrainingSpec, seed: int = 0) -> tuple[Weights, FitLog]:
    model = build_model(MODEL, 2, 2, seed=0)
    log = fit(model, _sampler("a", spec, seed), spec, first_step=0, total_steps=10, device=CPU)
    return weights_of(model), log


@pytest.mark.parametrize("shares", [(1.0, 1.0, 1.0), (5.0, 3.0, 2.0)])
def test_one_plain_step_averaged_over_sites_is_one_step_on_their_joined_batch(
    shares: tuple[float, ...],
) -> None:
    sites = ("a", "b", "c")
    start = weights_of(build_model(MODEL, 2, 2, seed=0)).vector
    deltas = []
    for site in sites:
        model = build_model(MODEL, 2, 2, seed=0)
        fit(model, _sampler(site, PLAIN), PLAIN, first_step=0, total_steps=1, device=CPU)
        deltas.append(weights_of(model).vector - start)
    pooled = build_model(MODEL, 2, 2, seed=0)
    joined = JoinedSampler([_sampler(site, PLAIN) for site in sites], shares)
    fit(pooled, joined, PLAIN, first_step=0, total_steps=1, device=CPU)
    averaged = np.average(deltas, axis=0, weights=shares)
    assert np.abs(averaged).max() > 1e-3
    np.testing.assert_allclose(weights_of(pooled).vector - start, averaged, rtol=0, atol=1e-6)


def test_training_is_repeatable_to_the_bit_and_follows_the_seed() -> None:
    (first, log), (again, again_log), (other, _) = _fitted(SPEC), _fitted(SPEC), _fitted(SPEC, seed=1)
    assert first.sha256() == again.sha256() and log.losses == again_log.losses
    assert first.sha256() != other.sha256()


def test_global_random_state_is_neither_used_nor_changed() -> None:
    torch.manual_seed(1)
    first, _ = _fitted(SPEC)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert _fitted(SPEC)[0].sha256() == first.sha256()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer_name", ["sgd", "adamw"])
def test_a_fit_in_two_halves_ends_in_the_same_bits(tmp_path: Path, optimizer_name: str) -> None:
    spec = SPEC.model_copy(update={"optimizer": optimizer_name, "learning_rate": 0.003})
    half = spec.model_copy(update={"steps": 2})
    whole, _ = _fitted(spec)
    sampler, model = _sampler("a"), build_model(MODEL, 2, 2, seed=0)
    optimizer = build_optimizer(model, spec)
    fit(model, sampler, half, first_step=0, total_steps=10, device=CPU, optimizer=optimizer)
    save_file(optimizer_tensors(optimizer), tmp_path / "optimizer.safetensors")
    resumed = build_model(MODEL, 2, 2, seed=9)
    load_weights(resumed, weights_of(model))
    optimizer = build_optimizer(resumed, spec)
    load_optimizer_tensors(optimizer, load_file(tmp_path / "optimizer.safetensors"))
    fit(resumed, sampler, half, first_step=2, total_steps=10, device=CPU, optimizer=optimizer)
    assert weights_of(resumed).sha256() == whole.sha256()


def test_fedprox_step_equals_the_gradient_of_the_penalised_loss() -> None:
    mu, rate = 0.7, PLAIN.learning_rate
    spec = PLAIN.model_copy(update={"augmentation": STILL})
    anchor = weights_of(build_model(MODEL, 2, 2, seed=1))
    model, oracle = (build_model(MODEL, 2, 2, seed=0) for _ in range(2))
    batch = _sampler("a", spec).next()
    distance = sum(
        (parameter - torch.from_numpy(anchor.tensors()[name])).square().sum()
        for name, parameter in oracle.named_parameters()
    )
    loss = build_loss(TrainingSpec())(oracle(batch.image), batch.label).mean() + mu / 2 * distance
    loss.backward()  # type: ignore[no-untyped-call]
    expected = np.concatenate(
        [(p - rate * p.grad).detach().numpy().ravel() for p in oracle.parameters() if p.grad is not None]
    )
    fit(
        model,
        _sampler("a", spec),
        spec,
        first_step=0,
        total_steps=1,
        device=CPU,
        anchor=anchor,
        prox_mu=mu,
    )
    np.testing.assert_allclose(weights_of(model).vector, expected, rtol=0, atol=1e-6)


def test_fedprox_keeps_weights_nearer_to_the_anchor() -> None:
    def drift(mu: float) -> float:
        model = build_model(MODEL, 2, 2, seed=0)
        anchor = weights_of(model)
        fit(
            model,
            _sampler("a"),
            SPEC,
            first_step=0,
            total_steps=10,
            device=CPU,
            anchor=anchor,
            prox_mu=mu,
        )
        return float(np.linalg.norm(weights_of(model).vector - anchor.vector))

    assert drift(10.0) < 0.9 * drift(0.0)


def test_a_proximal_term_needs_an_anchor() -> None:
    with pytest.raises(ValueError, match="needs an anchor"):
        fit(
            build_model(MODEL, 2, 2, seed=0),
            _sampler("a"),
            SPEC,
            first_step=0,
            total_steps=4,
            device=CPU,
            prox_mu=1.0,
        )


def test_poly_schedule_agrees_with_torch_and_goes_on_over_rounds() -> None:
    assert learning_rate(TrainingSpec(), 500, 1000) == pytest.approx(0.005359, abs=1e-6)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9)
    for step in range(20):
        assert learning_rate(TrainingSpec(), step, 20) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert learning_rate(TrainingSpec(schedule="constant"), 19, 20) == 0.01
    model = build_model(MODEL, 2, 2, seed=0)
    optimizer_of_site = build_optimizer(model, SPEC)
    fit(model, _sampler("a"), SPEC, first_step=6, total_steps=10, device=CPU, optimizer=optimizer_of_site)
    assert optimizer_of_site.param_groups[0]["lr"] == learning_rate(SPEC, 9, 10)
    with pytest.raises(ValueError, match="steps 7 to 11 exceed the schedule of 10"):
        fit(model, _sampler("a"), SPEC, first_step=7, total_steps=10, device=CPU)


def test_gradients_are_clipped_to_the_norm() -> None:
    spec = PLAIN.model_copy(update={"gradient_clip_norm": 0.01})
    start = weights_of(build_model(MODEL, 2, 2, seed=0)).vector
    length = np.linalg.norm(_fitted(spec)[0].vector - start)
    assert length == pytest.approx(0.01 * spec.learning_rate, rel=1e-3)


def test_log_tells_of_every_step() -> None:
    log = fit(build_model(MODEL, 2, 2, seed=0), _sampler("a"), SPEC, first_step=3, total_steps=10, device=CPU)
    assert log.steps == len(log.losses) == len(set(log.losses)) == 4
    assert log.loss == pytest.approx(np.mean(log.losses))
    assert 0.0 <= log.data_wait_seconds <= log.seconds


def test_a_loss_that_is_not_finite_ends_the_fit_with_its_code() -> None:
    image = np.full((2, 16, 16, 16), np.nan, np.float32)
    sampler = PatchSampler([case_of("a", image, np.ones((16, 16, 16), np.uint8))], SPEC, np.random.default_rng(0))
    with pytest.raises(TrainingFailed, match="step 0: loss nan") as caught:
        fit(build_model(MODEL, 2, 2, seed=0), sampler, SPEC, first_step=0, total_steps=4, device=CPU)
    assert caught.value.code is FailureCode.NOT_FINITE_LOSS


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory: 1 TB")],
)
def test_a_full_memory_ends_the_fit_with_its_code(error: Exception) -> None:
    with pytest.raises(TrainingFailed, match="2 patches of 16 x 16 x 16 do not fit") as caught:
        fit(_Failing(error), _sampler("a"), SPEC, first_step=0, total_steps=4, device=CPU)
    assert caught.value.code is FailureCode.OUT_OF_MEMORY


def test_other_errors_are_not_disguised() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"):
        fit(
            _Failing(RuntimeError("shape mismatch")),
            _sampler("a"),
            SPEC,
            first_step=0,
            total_steps=4,
            device=CPU,
        )


def test_every_weight_trains_under_deep_supervision_with_channels_last() -> None:
    spec = SPEC.model_copy(update={"channels_last": "on"})
    model = build_model(ModelSpec(name="unet", channels=(4, 8, 8, 8), deep_supervision=True), 2, 2, seed=0)
    before = weights_of(model)
    log = fit(model, _sampler("a"), spec, first_step=0, total_steps=4, device=CPU)
    assert np.isfinite(log.loss)
    changed = weights_of(model).tensors()
    assert all(not np.array_equal(array, changed[name]) for name, array in before.tensors().items())


def test_half_precision_on_a_cpu_is_refused_since_it_is_not_repeatable() -> None:
    spec = SPEC.model_copy(update={"mixed_precision": "on"})
    with pytest.raises(ConfigError, match="mixed_precision cannot be 'on' on a CPU"):
        fit(build_model(MODEL, 2, 2, seed=0), _sampler("a"), spec, first_step=0, total_steps=4, device=CPU)


def test_the_network_learns_to_see_a_ball() -> None:
    spec = SPEC.model_copy(update={"steps": 60, "learning_rate": 0.02})
    model = build_model(ModelSpec(name="unet_small", channels=(8, 16)), 2, 2, seed=0)
    sampler = PatchSampler([ball_case(i) for i in range(4)], spec, np.random.default_rng(0))
    losses = fit(model, sampler, spec, first_step=0, total_steps=60, device=CPU).losses
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


class _Failing(torch.nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self._error = error

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise self._error
