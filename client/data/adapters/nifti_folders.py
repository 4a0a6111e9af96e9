"""A folder per patient, files by glob pattern.

    root/<patient>/<whatever a pattern matches>

The folder's name is patient and exam. Patterns are relative to that folder and must match one file each.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from client.data.adapters.exams import Exam, read_exams, require_some
from client.data.adapters.files import folders_in, match_pattern, open_root, require_inside
from client.data.adapters.subject_table import Subject, metadata_of, read_subjects
from client.data.case import Case, Listing
from client.data.volume import header_spacing_mm
from common.config import DataSection
from common.errors import DataError


def list_nifti_folders(section: DataSection) -> Listing:
    """List every sub-folder of the root as a case that holds what exists.

    A folder without any of the sequences is quarantined; whether the plan can do without some is not known here.

    Raises:
        DataError: the root is missing, unreadable or holds no folder, or a table that was named cannot be read.
    """
    root = open_root(section.root, section.adapter)
    subjects = read_subjects(section.spreadsheet) if section.spreadsheet else {}
    exams = [Exam(folder.name, folder.name, folder) for folder in folders_in(root)]
    if not exams:
        raise DataError(f"{section.root}: no folder in it; nifti_folders needs one folder per patient")
    return read_exams(exams, partial(_read, root=root, section=section, subjects=subjects))


def _read(exam: Exam, root: Path, section: DataSection, subjects: Mapping[str, Subject]) -> Case:
    require_inside(exam.folder, root, exam.name)
    sequences: dict[str, Path] = {}
    for name, pattern in section.sequences.items():
        path = match_pattern(exam.folder, pattern, root, exam.name)
        if path is not None:
            sequences[name] = path
    require_some(sequences, exam)
    label = match_pattern(exam.folder, section.label, root, exam.name) if section.label else None
    mask = match_pattern(exam.folder, section.brain_mask, root, exam.name) if section.brain_mask else None
    return Case(
        patient=exam.patient,
        exam=exam.name,
        sequences=sequences,
        label=label,
        brain_mask=mask,
        spacing_mm=header_spacing_mm(next(iter(sequences.values()))),
        metadata=metadata_of(subjects, (exam.name,)),
    )
