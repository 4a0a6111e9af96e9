import pytest

from common.metrics.rano_bm import Response, choose_targets, respond, sum_of_diameters_mm


def test_targets_are_the_longest_five_of_ten_millimetres() -> None:
    assert choose_targets([9.9, 12, 10, 31]) == (3, 1, 2)
    assert sum_of_diameters_mm([9.9, 12, 10, 31]) == 53
    assert choose_targets([11, 16, 15, 14, 13, 12]) == (1, 2, 3, 4, 5)
    assert choose_targets([9.999]) == ()
    assert choose_targets([10.0, 10.0]) == (0, 1)


@pytest.mark.parametrize(
    ("baseline", "nadir", "current", "response"),
    [
        (50, 50, 60, Response.PROGRESSIVE),  # 1.2 times and 10 mm
        (50, 50, 59.9, Response.STABLE),  # under 1.2 times
        (20, 20, 24.9, Response.STABLE),  # over 1.2 times, under 5 mm
        (20, 20, 25, Response.PROGRESSIVE),
        (25, 25, 30, Response.PROGRESSIVE),  # both at once, on the threshold
        (100, 30, 36, Response.PROGRESSIVE),  # by the nadir, though far under the baseline
        (50, 20, 24, Response.PARTIAL),
        (30, 30, 21, Response.PARTIAL),  # 0.7 times itself
        (30, 30, 21.1, Response.STABLE),
        (30, 21, 22, Response.STABLE),
        (30, 30, 30, Response.STABLE),
        (30, 30, 0, Response.COMPLETE),
        (30, 0, 4.9, Response.PARTIAL),  # back after a complete response, under 5 mm
        (30, 0, 5, Response.PROGRESSIVE),
        (0, 0, 0, Response.NOT_EVALUABLE),
    ],
)
def test_boundaries(baseline: float, nadir: float, current: float, response: Response) -> None:
    assert respond(baseline, nadir, current) is response


def test_new_lesions_are_progression_whatever_the_sum() -> None:
    assert respond(30, 30, 0, new_lesions=1) is Response.PROGRESSIVE
    assert respond(0, 0, 0, new_lesions=1) is Response.PROGRESSIVE


def test_no_complete_response_while_others_remain() -> None:
    assert respond(30, 30, 0, others_remain=True) is Response.PARTIAL


@pytest.mark.parametrize("sums", [(-1, 0, 0), (10, 11, 10), (10, 10, -2)])
def test_refuses_impossible_sums(sums: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="nadir"):
        respond(*sums)
