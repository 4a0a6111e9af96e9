from simulation.bench.train import render, run


def test_both_loops_do_the_same_work_and_the_outcome_is_told() -> None:
    result = run(steps=3, device="cpu")
    assert result.steps == 5
    assert result.loss_difference < 1e-5
    assert 0.0 <= result.wait_share < 0.5
    lines = render(result).splitlines()
    assert lines[0].startswith("unet_small [8, 16, 32, 64] (151396 parameters), 2 x 40 x 40 x 40, on cpu")
    assert f"{result.ratio:.3f} (plain / fedmets" in lines[3]
