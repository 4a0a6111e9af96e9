import pytest

from common.certificates import Holder, Role, check_dates
from common.errors import TrustCode, TrustError
from common.expiry import Finding, expiry_of, worst
from common.identity import IdentityKey
from server.authority import create_issuer, issue
from tests.trust import DAY_0, day

ISSUER = create_issuer("BMFED", DAY_0)
CERTIFICATE = issue(ISSUER, Holder("BMFED", Role.SITE, "north"), IdentityKey.generate().key.public_key(), DAY_0)
END = CERTIFICATE.not_valid_after_utc


@pytest.mark.parametrize(
    ("days", "level", "text"),
    [
        (-1, "fail", "not valid before 2030-01-01 11:00 UTC, now it is 2029-12-31 12:00"),
        (0, "ok", "valid until 2032-01-01"),
        (699, "ok", "valid until"),
        (701, "warn", "expires on 2032-01-01, in 28 days"),
        (729.9, "warn", "in 0 days"),
        (730, "fail", "expired on 2032-01-01"),
    ],
)
def test_what_is_said_of_a_certificate_of_730_days(days: float, level: str, text: str) -> None:
    found = expiry_of(CERTIFICATE, "certificate", "renew it", day(days))
    assert (found.level, text in found.finding) == (level, True)
    assert ("renew it" in found.line) == (days > 700)


def test_dates_count_to_the_second_at_both_ends() -> None:
    begin = CERTIFICATE.not_valid_before_utc
    for now in (begin, END):
        check_dates(CERTIFICATE, "it", now)
    for now, code in (
        (begin - (day(0.001) - DAY_0), TrustCode.NOT_YET_VALID),
        (END + (day(0.001) - DAY_0), TrustCode.EXPIRED),
    ):
        with pytest.raises(TrustError, match="clock") as refused:
            check_dates(CERTIFICATE, "it", now)
        assert refused.value.code == code


def test_the_worst_finding_counts() -> None:
    ok, warn, fail = (Finding(level, "x", "y") for level in ("ok", "warn", "fail"))
    assert worst([]) == worst([ok]) == "ok"
    assert worst([ok, warn]) == "warn"
    assert worst([fail, warn, ok]) == "fail"
