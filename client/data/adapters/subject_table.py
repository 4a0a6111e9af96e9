"""A dataset's spreadsheet of exams: xlsx or CSV with the columns of UCSF-BMSR's subject table."""

import csv
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from client.data.case import Metadata
from common.errors import DataError

SHEET = "RENAMED"
"""The published table's sheet; a workbook without it is read from its first sheet."""

_EXAM, _SEX, _AGE, _CANCER = "SubjectID", "Sex", "Age", "CancerType"
_FIELD, _BRATS = "Scanner Strength (Tesla)", "BraTS_ID"
_MISSING = frozenset({"", "nan", "na", "n/a", "none", "unknown"})
_NUMBER = re.compile(r"\d+(\.\d+)?")
UNREADABLE_TABLE = (
    *(OSError, EOFError, ValueError, csv.Error, zipfile.BadZipFile, zlib.error, ParseError, InvalidFileException),
    # a damaged workbook makes openpyxl fail wherever it first misses something
    *(AttributeError, IndexError, KeyError, NotImplementedError, TypeError),
)
"""What reading a table may raise."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row: what is known of an exam, and its name in BraTS-METS where it has one."""

    metadata: Metadata
    brats_id: str | None


def read_subjects(path: Path) -> Mapping[str, Subject]:
    """Rows by SubjectID; blank rows (the published file ends in 99 that are only formatted) are skipped.

    Columns may stand in any order, and all but SubjectID may be absent. An age of "90+" is 90, a strength of "3T"
    is 3.

    Raises:
        DataError: no such file, not a workbook or CSV, no column SubjectID, or an exam listed twice.
    """
    try:
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _xlsx_rows(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such table; correct spreadsheet in [data]") from None
    except UNREADABLE_TABLE as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); export it again or take it away") from None
    header = [" ".join(str(cell or "").split()).lower() for cell in (rows[0] if rows else ())]
    if _EXAM.lower() not in header:
        raise DataError(f"{path}: no column {_EXAM} in its first row; add it or take the table away")
    return _subjects(header, rows[1:], path)


def _subjects(header: list[str], rows: Sequence[Sequence[object]], path: Path) -> Mapping[str, Subject]:
    subjects: dict[str, Subject] = {}
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        exam = _text(cells.get(_EXAM.lower()))
        if exam is None:
            continue
        if exam in subjects:
            raise DataError(f"{path}: {_EXAM} {exam} stands in two rows; leave one")
        metadata = Metadata(
            age_years=_number(cells.get(_AGE.lower())),
            sex=_text(cells.get(_SEX.lower())),
            primary_cancer=_text(cells.get(_CANCER.lower())),
            field_strength_t=_number(cells.get(_FIELD.lower())),
        )
        subjects[exam] = Subject(metadata, _text(cells.get(_BRATS.lower())))
    return subjects


def _xlsx_rows(path: Path) -> list[tuple[object, ...]]:
    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheet = workbook[SHEET] if SHEET in workbook.sheetnames else workbook.worksheets[0]
        return [tuple(row) for row in sheet.iter_rows(values_only=True)]
    finally:
        workbook.close()


def _csv_rows(path: Path) -> list[tuple[object, ...]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return [tuple(row) for row in csv.reader(stream)]


def _text(cell: object) -> str | None:
    """A cell as text; None where it is blank or says that nothing is known."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = "" if cell is None else str(cell).strip()
    return None if text.lower() in _MISSING else text


def _number(cell: object) -> float | None:
    found = _NUMBER.search(_text(cell) or "")
    return float(found.group()) if found else None


def metadata_of(subjects: Mapping[str, Subject], names: Iterable[str]) -> Metadata:
    """The metadata of the first name that the table has, else all None."""
    return next((subjects[name].metadata for name in names if name in subjects), Metadata())
