"""One site's rows of a dataset's spreadsheet: a hospital has no rows about another hospital's patients."""

import zipfile
from collections.abc import Collection
from pathlib import Path

from openpyxl import Workbook, load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from common.errors import DataError


def write_own_rows(source: Path, target: Path, subjects: Collection[str]) -> int:
    """Copy a workbook's header rows and the rows that name one of the subjects; formatting is not kept.

    A row belongs to a subject when one of its cells is exactly the subject's exam or patient id.

    Returns:
        Number of rows kept below the headers, over all sheets.

    Raises:
        DataError: the workbook cannot be read.
    """
    wanted = set(subjects)
    try:
        book = load_workbook(source, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, InvalidFileException) as error:
        raise DataError(f"{source}: cannot be read as a spreadsheet ({error}); repair or remove it") from None
    own, kept = Workbook(write_only=True), 0
    for sheet in book.worksheets:
        copy = own.create_sheet(sheet.title)
        for number, row in enumerate(sheet.iter_rows(values_only=True)):
            named = any(str(cell).strip() in wanted for cell in row if cell is not None)
            if number == 0 or named:
                copy.append(row)
                kept += number > 0
    book.close()
    own.save(target)
    return kept
