from common.plan import ModelSpec
from simulation.bench.warm import render, run


def test_a_warm_site_begins_its_first_step_after_the_task_came_and_before_the_reply_went() -> None:
    result = run(2, ModelSpec(channels=(2, 4, 4)))
    assert len(result.warm_s) == 2
    rounds = zip(result.desk_s, result.warm_s, result.reply_s, result.step_s, strict=True)
    for desk_s, warm_s, reply_s, step_s in rounds:
        assert 0 < desk_s < warm_s < reply_s
        assert step_s < reply_s
    assert result.cold_s > max(result.warm_s)
    assert "first step" in render(result)
