"""The subject table of UCSF-BMSR, with its quirks: sheet RENAMED and 99 formatted blank rows at the end."""

import io
import re
import zipfile
from datetime import datetime

from openpyxl import Workbook
from openpyxl.styles import Border, Side

from simulation.phantom.profile import PhantomSection, Primary
from simulation.phantom.records import ExamRecord

BLANK_ROWS = 99
HEADER = (
    "SubjectID",
    "Sex",
    "Age",
    "CancerType",
    "Scanner Strength (Tesla)",
    "Prior Craniotomy/Biopsy/Resection",
    "BraTS_ID",
)
CANCER_TYPE: dict[Primary, str] = {
    "lung": "Lung",
    "breast": "Breast",
    "melanoma": "Melanoma",
    "gastrointestinal": "Gastrointestinal",
    "renal": "Renal",
    "unknown": "Unknown",
}
_EPOCH = datetime(2000, 1, 1)


def subject_table(exams: tuple[ExamRecord, ...], section: PhantomSection) -> bytes:
    """The spreadsheet as a file's bytes; the same bytes for the same exams."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "RENAMED"
    sheet.append(HEADER)
    tesla = {site.name: site.field_strength_t for site in section.sites}
    for number, exam in enumerate(exams, start=1):
        subject = exam.subject
        sheet.append(
            (
                exam.subject_id,
                subject.sex,
                subject.age_years,
                CANCER_TYPE[subject.primary],
                tesla[exam.site],
                "Yes" if subject.prior_surgery else "No",
                f"BraTS-MET-{number:05d}-000",
            )
        )
    line = Border(bottom=Side(style="thin"))
    for row in range(len(exams) + 2, len(exams) + 2 + BLANK_ROWS):
        for column in range(1, len(HEADER) + 1):
            sheet.cell(row=row, column=column).border = line
    buffer = io.BytesIO()
    book.save(buffer)
    return _without_time(buffer.getvalue())


def _without_time(content: bytes) -> bytes:
    """A workbook is a zip archive that records when it was saved, twice; fix both."""
    buffer = io.BytesIO()
    stamp = f">{_EPOCH:%Y-%m-%dT%H:%M:%SZ}<".encode()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb">\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ<", stamp, part)
            entry = zipfile.ZipInfo(name, date_time=_EPOCH.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, part)
    return buffer.getvalue()
