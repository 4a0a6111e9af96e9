"""What the search for words sees through."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from tests.end_to_end.spellings import found_in

WORDS = ("MUELLER^HANS", "MUELLER", "19570412")
TOLD = "of patient MUELLER^HANS, 1957"


@pytest.mark.parametrize(
    "heard",
    [
        TOLD.lower().encode(),
        TOLD.encode("utf-16-be"),
        TOLD.encode("utf-32-le"),
        quote(TOLD).encode(),
        TOLD.encode().hex().encode(),
        TOLD.lower().encode().hex().upper().encode(),
        *(b64encode(b"." * shift + TOLD.encode()) for shift in range(3)),
    ],
)
def test_a_word_is_found_however_it_is_written(heard: bytes) -> None:
    assert found_in(b"\x00\xff" + heard + b"\xff", WORDS) == ["MUELLER^HANS", "MUELLER"]


def test_a_word_is_found_in_the_base64_of_urls() -> None:
    told = urlsafe_b64encode(b"/\xfb\xff\xbe/pacs>>>?")
    assert b"-" in told or b"_" in told
    assert found_in(told, ("pacs>>>?",)) == ["pacs>>>?"]


def test_what_is_not_there_is_not_found() -> None:
    assert found_in(b64encode(b"of patient MULLER") + bytes(100), WORDS) == []
