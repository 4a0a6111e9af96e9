"""UCSF Brain Metastases Stereotactic Radiosurgery MRI, versions 1.2 and 1.3.

    root/TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx
    root/UCSF_BrainMetastases_TRAIN/<SubjectID>/<SubjectID>_{T1pre,T1post,FLAIR,subtraction,T2Synth}.nii.gz
                                               /<SubjectID>_seg.nii.gz          binary
                                               /<SubjectID>_BraTS-seg.nii.gz    three classes, 324 of 461 exams

SubjectID is a patient's number and a letter for the exam: 100101A and 100101B are one patient. The images are
skull-stripped. Source: Rudie et al., Radiology: Artificial Intelligence 2024, doi 10.1148/ryai.230126.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from client.data.adapters.exams import Exam, read_exams, require_some
from client.data.adapters.files import folders_in, match_names, open_root, require_inside
from client.data.adapters.subject_table import Subject, metadata_of, read_subjects
from client.data.case import Case, Listing
from client.data.volume import header_spacing_mm
from common.config import DataSection
from common.errors import CaseReason, CaseRejected, DataError

EXCLUDED_EXAMS = frozenset({"100363B"})
"""Left out by earlier published work on the set; here with either kind of label."""

TABLE = "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx"
TRAIN_FOLDER = "UCSF_BrainMetastases_TRAIN"
SUFFIXES: Mapping[str, str] = {
    "t1": "T1pre",
    "t1c": "T1post",
    "t2": "T2Synth",
    "flair": "FLAIR",
    "subtraction": "subtraction",
}
LABEL_SUFFIXES: Mapping[str, str] = {"binary": "seg", "three_class": "BraTS-seg"}
_SUBJECT = re.compile(r"(?P<patient>\d+)[A-Za-z]")


def list_ucsf_bmsr(section: DataSection) -> Listing:
    """List the exams of a release.

    The root is the TRAIN folder, the release that holds it, or the folder above. Names match in upper and lower
    case, since `_BRaTS-seg` occurs. The table is the one that the section names, else the one beside the TRAIN
    folder, within the root; without one no metadata are known. With labels = "three_class" an exam without a
    three-class label is no member of that set and is quarantined as EXCLUDED, unless the table gives it a
    BraTS_ID: then its label is lost, and preparation will say MISSING_LABEL. Folders not named like a SubjectID
    are passed over.

    Raises:
        DataError: the root is missing, unreadable or holds no exam, or the table cannot be read.
    """
    root = open_root(section.root, section.adapter)
    train = _train_folder(root)
    subjects = _subjects(root if train == root else train.parent, section)
    exams = []
    for folder in folders_in(train):
        match = _SUBJECT.fullmatch(folder.name)
        if match:
            exams.append(Exam(match["patient"], folder.name, folder))
    if not exams:
        raise DataError(f"{section.root}: no folder named like 100101A in it or in {TRAIN_FOLDER}; correct root")
    return read_exams(exams, partial(_read, root=root, section=section, subjects=subjects))


def _train_folder(root: Path) -> Path:
    for parent in (root, *folders_in(root)):
        for folder in folders_in(parent):
            if folder.name.lower() == TRAIN_FOLDER.lower():
                return folder
    return root


def _subjects(release: Path, section: DataSection) -> Mapping[str, Subject]:
    if section.spreadsheet is not None:
        return read_subjects(section.spreadsheet)
    table = release / TABLE
    return read_subjects(table) if table.is_file() else {}


def _read(exam: Exam, root: Path, section: DataSection, subjects: Mapping[str, Subject]) -> Case:
    if exam.name.upper() in EXCLUDED_EXAMS:
        raise CaseRejected(CaseReason.EXCLUDED, exam.name, "on the dataset's own list of unusable exams")
    require_inside(exam.folder, root, exam.name)
    stems = {f"{exam.name}_{suffix}": name for name, suffix in SUFFIXES.items()}
    label_stem = f"{exam.name}_{LABEL_SUFFIXES[section.labels]}"
    files = match_names(exam.folder, [*stems, label_stem], root, exam.name)
    sequences = {name: files[stem] for stem, name in stems.items() if stem in files}
    subject = subjects.get(exam.name)
    expected = subject is not None and subject.brats_id is not None
    if section.labels == "three_class" and label_stem not in files and not expected:
        detail = "no three-class label was published for it; use labels = 'binary' to have it"
        raise CaseRejected(CaseReason.EXCLUDED, exam.name, detail)
    require_some(sequences, exam)
    return Case(
        patient=exam.patient,
        exam=exam.name,
        sequences=sequences,
        label=files.get(label_stem),
        spacing_mm=header_spacing_mm(next(iter(sequences.values()))),
        metadata=metadata_of(subjects, (exam.name,)),
    )
