import pytest

from common.markdown import bullets, code, document, number, plain, section, table, with_range


def test_text_from_outside_is_no_markup() -> None:
    assert plain("a|b\n<b>*c*</b>") == r"a\|b \<b\>\*c\*\</b\>"
    assert code("x`|`y") == "`x/y`"


@pytest.mark.parametrize(
    ("value", "low", "high", "digits", "text"),
    [
        (0.7051, 0.647, 0.7594, 3, "0.705 (0.647 to 0.759)"),
        (1.5, 0.75, 2.416, 2, "1.50 (0.75 to 2.42)"),
        (-0.05, -0.1, 0.01, 2, "−0.05 (−0.10 to 0.01)"),
        (0.5, None, None, 3, "0.500"),
        (None, None, None, 3, "–"),
    ],
)
def test_numbers_are_written_one_way(
    value: float | None, low: float | None, high: float | None, digits: int, text: str
) -> None:
    assert with_range(value, low, high, digits) == text
    assert number(None) == "–"


def test_a_document_is_sections_with_blank_lines_between() -> None:
    page = document(
        section("One", "first", "", bullets(["a", "b"])), "", section("Two", table(("x", "y"), [("1", "2")]))
    )
    assert page == "## One\n\nfirst\n\n- a\n- b\n\n## Two\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n"
