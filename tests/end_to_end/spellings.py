"""A search for words however they are written: upper or lower case, wide characters, percent, hex, base64."""

from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote


def found_in(data: bytes, words: Iterable[str]) -> list[str]:
    """The words that are somewhere in the data.

    In UTF-8, -16 and -32 and percent- or hex-encoded, a word is found in upper and lower case alike. In base64,
    also that of URLs, it is found wherever in the text it stands, but in the case alone in which it is given.
    """
    narrow = data.replace(b"\x00", b"").lower()  # ASCII in UTF-16 is every other byte
    standard = data.translate(bytes.maketrans(b"-_", b"+/"))
    return [
        word
        for word in words
        if any(form in narrow for form in _spelt(word)) or any(form in standard for form in _in_base64(word))
    ]


def _spelt(word: str) -> set[bytes]:
    """In lower case."""
    in_hex = (case.encode().hex() for case in (word, word.lower(), word.upper()))
    forms = (word, quote(word, safe=""), *in_hex)
    return {form.lower().encode() for form in forms}


def _in_base64(word: str) -> list[bytes]:
    """The characters that do not depend on the word's neighbours, for each of the three places in a group.

    Of "abc": YWJj, FiY and hYm, from YWJj, .GFiYw and ..hYmM with what the neighbours decide cut off.
    """
    data = word.encode()
    shifted = [(shift, b64encode(bytes(shift) + data)) for shift in range(3)]
    return [text[-(-8 * shift // 6) : 8 * (shift + len(data)) // 6] for shift, text in shifted]
