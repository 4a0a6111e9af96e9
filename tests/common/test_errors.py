import pickle

import pytest

from common.errors import (
    CaseReason,
    CaseRejected,
    ConfigError,
    FailureCode,
    FedmetsError,
    RefusalCode,
    SiteRefusal,
    TrainingFailed,
    UpdateCode,
    UpdateRejected,
)

ERRORS = (
    ConfigError("demo.toml: unknown key 'round'"),
    CaseRejected(CaseReason.NOT_3D, "100101A", "shape (4, 4, 4, 2)"),
    SiteRefusal(RefusalCode.STALE_ROUND, "west", "round 9"),
    UpdateRejected(UpdateCode.DUPLICATE, "west", "twice"),
    TrainingFailed(FailureCode.OUT_OF_MEMORY, "patches of 64"),
)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_comes_whole_out_of_a_process_of_ours(error: FedmetsError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (what the pool does between our own processes)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
