import pytest

from common.errors import FailureCode, UpdateCode
from common.protocol import SUPPRESSED
from server.records import Outcome, Participation, RoundRecord, RunStatus, run_status
from tests.server.builders import SUMS

ACCEPTED = Participation(site="a", outcome=Outcome.ACCEPTED, incoming=SUMS, loss=0.25)
LATE = Participation(site="b", outcome=Outcome.LATE)
FEW = Participation(site="d", outcome=Outcome.ACCEPTED, incoming=SUPPRESSED, more_quarantined=True)
INVALID = Participation(site="b", outcome=Outcome.INVALID, code=UpdateCode.NOT_FINITE)


def record(round_id: int, advanced: bool, *sites: Participation) -> RoundRecord:
    return RoundRecord(round=round_id, plan_id="p", seed=1, advanced=advanced, model_sha256="m", sites=sites)


def test_records_survive_json() -> None:
    failed = Participation(site="c", outcome=Outcome.FAILED, code=FailureCode.NOT_FINITE_LOSS)
    before = record(3, True, ACCEPTED, LATE, INVALID, failed, FEW)
    after = RoundRecord.from_json(before.to_json())
    assert after == before
    assert after.sites[2].code is UpdateCode.NOT_FINITE
    assert after.accepted == 2


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([record(1, True, ACCEPTED, ACCEPTED), record(2, True, ACCEPTED, ACCEPTED)], RunStatus.COMPLETED),
        ([record(1, True, ACCEPTED, ACCEPTED)], RunStatus.PARTIAL),
        ([record(1, True, ACCEPTED, ACCEPTED), record(2, True, ACCEPTED, LATE)], RunStatus.PARTIAL),
        ([record(1, False, LATE, LATE), record(2, True, ACCEPTED, ACCEPTED)], RunStatus.PARTIAL),
        ([record(1, False, ACCEPTED, LATE), record(2, False, LATE, LATE)], RunStatus.FAILED),
        ([], RunStatus.FAILED),
    ],
)
def test_a_run_says_how_it_ended(history: list[RoundRecord], status: RunStatus) -> None:
    assert run_status(history, rounds=2) is status
