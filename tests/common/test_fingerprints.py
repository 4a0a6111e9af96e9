import pytest

from common.errors import EnrollmentError
from common.fingerprints import fingerprint_of, grouped, parse_fingerprint

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of nothing, FIPS 180-4


def test_grouped_reads_aloud_and_parses_back() -> None:
    text = grouped(fingerprint_of(b""))
    assert text.startswith("e3b0 c442 98fc")
    assert len(text.split(" ")) == 16
    assert parse_fingerprint(text) == EMPTY


@pytest.mark.parametrize(
    "typed",
    [EMPTY.upper(), f"SHA256:{EMPTY}", ":".join(EMPTY[i : i + 2] for i in range(0, 64, 2)), f"  {EMPTY}\n"],
)
def test_what_people_type_is_understood(typed: str) -> None:
    assert parse_fingerprint(typed) == EMPTY


@pytest.mark.parametrize("typed", ["", EMPTY[:16], EMPTY + "0", EMPTY[:-1] + "g"])
def test_a_shortened_or_mistyped_one_is_refused(typed: str) -> None:
    with pytest.raises(EnrollmentError, match="64 hexadecimal digits"):
        parse_fingerprint(typed)
