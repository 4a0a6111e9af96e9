"""Partition by a table with the columns `Partition_ID,Subject_ID`, and the writing of such a table.

Subject_ID is a case's folder name or a patient; a row for a folder outranks a row for its patient.
Partition_ID -1 leaves the subject out, as do tables that do not list it. A number n becomes the site "site-n";
any other text is the site's name, with characters that a plan does not allow replaced by hyphens.

Source of the format: the FeTS challenge's institution splits.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.case import Case
from common.errors import DataError
from simulation.partition.assignment import Assignment, exams_by_patient
from simulation.partition.names import natural_order, numbered, site_name

PARTITION, SUBJECT = "Partition_ID", "Subject_ID"
_NUMBER = re.compile(r"^-?\d+(\.0+)?$")


@dataclass(frozen=True, slots=True)
class _Row:
    subject: str
    site: str | None  # None: left out on purpose
    line: int


def read_table(path: Path) -> dict[str, str | None]:
    """Site by subject, None for a subject that the table leaves out (-1).

    CRLF and LF line ends, a byte order mark, blank lines, further columns and any order of columns are fine.

    Raises:
        DataError: no such file, not text, a column missing, no row, an empty cell, a subject in two sites, two
            spellings that would give one site name; with the line number.
    """
    rows: dict[str, _Row] = {}
    spelled: dict[str, str] = {}
    for line, partition, subject in _cells(path):
        row = _Row(subject, _site_for(partition, path, line), line)
        before = rows.setdefault(subject, row)
        if before.site != row.site:
            raise DataError(
                f"{path}, line {line}: subject '{subject}' is in {_told(row.site)}, but line {before.line} "
                f"puts it in {_told(before.site)}; keep one of the two"
            )
        if row.site is not None and spelled.setdefault(row.site, _key(partition)) != _key(partition):
            raise DataError(
                f"{path}, line {line}: Partition_ID '{partition}' and '{spelled[row.site]}' would both be named "
                f"'{row.site}'; rename one"
            )
    if not rows:
        raise DataError(f"{path}, line 1: the table has a header and no rows; list at least one subject")
    return {row.subject: row.site for row in rows.values()}


def by_table(path: Path, cases: Sequence[Case]) -> Assignment:
    """Partition by the table in `path`.

    Raises:
        DataError: as read_table; a patient in two sites (named, with both); no case of the table is there.
    """
    table = read_table(path)
    site_of: dict[str, str] = {}
    for patient, exams in exams_by_patient(cases).items():
        first: Case | None = None
        for case in exams:
            site = table.get(case.exam, table.get(patient))
            if site is None:
                continue
            site_of[case.exam] = site
            first = first or case
            if site_of[first.exam] != site:
                raise DataError(
                    f"{path}: patient {patient} is split over sites '{site_of[first.exam]}' (exam {first.exam}) "
                    f"and '{site}' (exam {case.exam}); all exams of a patient must be at one site"
                )
    if not site_of:
        raise DataError(
            f"{path}: none of its {len(table)} subjects (such as '{next(iter(table))}') is a folder or patient of "
            f"the {len(cases)} cases{_example(cases)}; check Subject_ID"
        )
    sites = sorted(set(site_of.values()), key=natural_order)
    return Assignment(site_of, tuple(sites), _notes(path, table, cases, sites))


def write_table(path: Path, sites: Mapping[str, Sequence[Case]]) -> None:
    """Write exams by site so that `read_table` gives them back."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([PARTITION, SUBJECT])
        writer.writerows([site, case.exam] for site, cases in sites.items() for case in cases)


def _cells(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, partition and subject of every row that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            missing = [name for name in (PARTITION, SUBJECT) if name not in header]
            if missing:
                raise DataError(
                    f"{path}, line 1: column {' and '.join(missing)} missing, the header is {header}; "
                    f"expected '{PARTITION},{SUBJECT}'"
                )
            places = [header.index(PARTITION), header.index(SUBJECT)]
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                partition, subject = (row[place].strip() if place < len(row) else "" for place in places)
                if not partition or not subject:
                    raise DataError(
                        f"{path}, line {reader.line_num}: {SUBJECT if partition else PARTITION} is empty in {row}"
                    )
                yield reader.line_num, partition, subject
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a partition table ({error})") from None


def _site_for(partition: str, path: Path, line: int) -> str | None:
    if _NUMBER.match(partition):
        number = int(float(partition))
        if number < -1:
            raise DataError(f"{path}, line {line}: Partition_ID {partition}: use -1 to leave a subject out")
        return None if number == -1 else numbered(number)
    name = site_name(partition)
    if not name:
        raise DataError(
            f"{path}, line {line}: Partition_ID '{partition}' holds no letter or digit to name a site by"
        )
    return name


def _key(partition: str) -> str:
    """1, 01 and 1.0 are one spelling."""
    return str(int(float(partition))) if _NUMBER.match(partition) else partition


def _notes(
    path: Path, table: Mapping[str, str | None], cases: Sequence[Case], sites: Sequence[str]
) -> tuple[str, ...]:
    known = {case.exam for case in cases} | {case.patient for case in cases}
    unknown = [subject for subject in table if subject not in known]
    listed = {site for site in table.values() if site is not None}
    notes = []
    if unknown:
        notes.append(f"{len(unknown)} of {len(table)} subjects in {path.name} are not among the cases")
    if len(listed) > len(sites):
        notes.append(f"{len(listed) - len(sites)} of {len(listed)} sites in {path.name} have no case here")
    return tuple(notes)


def _told(site: str | None) -> str:
    return "no site (-1)" if site is None else f"site '{site}'"


def _example(cases: Sequence[Case]) -> str:
    return f" (such as folder '{cases[0].exam}', patient '{cases[0].patient}')" if cases else ""
