"""One site's rows of a dataset's spreadsheet: a hospital has no rows about another hospital's patients."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from openpyxl import Workbook, load_workbook

from client.data.adapters.subject_table import UNREADABLE_TABLE
from common.errors import DataError


def write_own_rows(source: Path, target: Path, subjects: Collection[str]) -> None:
    """Copy the first row of every sheet and the rows that name one of the subjects; formatting is not kept.

    A row belongs to a subject when one of its cells is exactly the subject's exam or patient id. An xlsx stays
    an xlsx with its sheets, a CSV a CSV.

    Raises:
        DataError: the table cannot be read.
    """
    try:
        if source.suffix.lower() == ".csv":
            _write_own_csv(source, target, set(subjects))
        else:
            _write_own_xlsx(source, target, set(subjects))
    except UNREADABLE_TABLE as error:
        raise DataError(
            f"{source}: cannot be read as a spreadsheet ({error}); repair it or take it away"
        ) from None


def _write_own_xlsx(source: Path, target: Path, subjects: set[str]) -> None:
    book, own = load_workbook(source, read_only=True, data_only=True), Workbook(write_only=True)
    for sheet in book.worksheets:
        copy = own.create_sheet(sheet.title)
        for number, row in enumerate(sheet.iter_rows(values_only=True)):
            if number == 0 or _names(row, subjects):
                copy.append(row)
    book.close()
    own.save(target)


def _write_own_csv(source: Path, target: Path, subjects: set[str]) -> None:
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for number, row in enumerate(csv.reader(file)) if number == 0 or _names(row, subjects)]
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _names(row: Sequence[object], subjects: set[str]) -> bool:
    return any(_text(cell) in subjects for cell in row if cell is not None)


def _text(cell: object) -> str:
    """An id that a spreadsheet took for a number is still that id: 100101.0 is "100101"."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()
