"""BraTS-METS, the releases of 2023 and 2025.

    .../BraTS-MET-00025-000/BraTS-MET-00025-000-{t1n,t1c,t2w,t2f,seg}.nii.gz
    .../*corrected-labels*/BraTS-MET-00025-000-seg.nii.gz      takes the place of the folder's own label

Exam folders are found up to six levels down (the 2023 release has an additional part, that of 2025 a UCSD part).
The last three digits are the patient's timepoint. Most cases of 2025 are in native geometry, so spacing is always
the header's. Labels: 1 non-enhancing core, 2 oedema (SNFH), 3 enhancing tumour; from 2025 on also 4, resection
cavity.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from client.data.adapters.exams import Exam, read_exams, require_some
from client.data.adapters.files import folders_in, match_names, open_root, require_inside
from client.data.adapters.subject_table import Subject, metadata_of, read_subjects
from client.data.case import Case, Listing
from client.data.volume import header_spacing_mm
from common.config import DataSection
from common.errors import CaseReason, CaseRejected, DataError

SUFFIXES: Mapping[str, str] = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}
_EXAM = re.compile(r"BraTS-MET-\d+-\d{3}", re.IGNORECASE)
_CORRECTED = "corrected-labels"
_MAX_DEPTH = 6


def list_brats_mets(section: DataSection) -> Listing:
    """List the exams of one release, or of several under one root.

    An exam that lies in two folders is AMBIGUOUS_FILE, as is one with two corrected labels. An exam of a
    validation part, whose labels are withheld, is EXCLUDED; any other without a label is listed, and preparation
    will say so.

    Raises:
        DataError: the root is missing, unreadable or holds no exam, or a table that was named cannot be read.
    """
    root = open_root(section.root, section.adapter)
    subjects = read_subjects(section.spreadsheet) if section.spreadsheet else {}
    folders = list(_folders_below(root, _MAX_DEPTH))
    exams: dict[str, list[Path]] = {}
    for folder in folders:
        if _EXAM.fullmatch(folder.name) and not _is_corrected(folder, root):
            exams.setdefault(folder.name, []).append(folder)
    if not exams:
        raise DataError(
            f"{section.root}: no folder named like BraTS-MET-00025-000 below it; correct root in [data]"
        )
    read = partial(_read, root=root, exams=exams, corrected=_corrected_labels(folders, root), subjects=subjects)
    return read_exams([Exam(_patient(name), name, found[0]) for name, found in exams.items()], read)


def has_resection_cavities(root: Path) -> bool:
    """Whether label 4 is part of the set: a release of 2025 (its folders' names say so) or corrected labels."""
    names = [*root.resolve().parts, *(folder.name for folder in _folders_below(root, 2))]
    return any("brats2025" in name.lower() or _CORRECTED in name.lower() for name in names)


def _read(
    exam: Exam,
    root: Path,
    exams: Mapping[str, list[Path]],
    corrected: Mapping[str, list[Path]],
    subjects: Mapping[str, Subject],
) -> Case:
    if len(exams[exam.name]) > 1:
        detail = f"lies in {' and '.join(str(folder) for folder in exams[exam.name])}; leave one"
        raise CaseRejected(CaseReason.AMBIGUOUS_FILE, exam.name, detail)
    require_inside(exam.folder, root, exam.name)
    stems = {f"{exam.name}-{suffix}": name for name, suffix in SUFFIXES.items()}
    label_stem = f"{exam.name}-seg"
    files = match_names(exam.folder, [*stems, label_stem], root, exam.name)
    label = _corrected_label(exam, corrected, root) or files.get(label_stem)
    if label is None and any("validation" in part.lower() for part in exam.folder.relative_to(root.parent).parts):
        raise CaseRejected(CaseReason.EXCLUDED, exam.name, "of the validation part, whose labels are withheld")
    sequences = {name: files[stem] for stem, name in stems.items() if stem in files}
    require_some(sequences, exam)
    return Case(
        patient=exam.patient,
        exam=exam.name,
        sequences=sequences,
        label=label,
        spacing_mm=header_spacing_mm(next(iter(sequences.values()))),
        metadata=metadata_of(subjects, (exam.name, exam.patient)),
    )


def _corrected_label(exam: Exam, corrected: Mapping[str, list[Path]], root: Path) -> Path | None:
    found = corrected.get(exam.name.lower(), [])
    if len(found) > 1:
        detail = f"several corrected labels: {' and '.join(str(path) for path in found)}; leave one"
        raise CaseRejected(CaseReason.AMBIGUOUS_FILE, exam.name, detail)
    return require_inside(found[0], root, exam.name) if found else None


def _corrected_labels(folders: list[Path], root: Path) -> Mapping[str, list[Path]]:
    """Corrected label files by exam in lower case."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if _is_corrected(folder, root):
            for path in sorted(folder.iterdir()):
                name = path.name.lower()
                if name.endswith(("-seg.nii.gz", "-seg.nii")):
                    found.setdefault(name[: name.index("-seg.nii")], []).append(path)
    return found


def _folders_below(root: Path, depth: int) -> Iterator[Path]:
    """Folders down to a depth, the root first; links are listed, not followed; unreadable ones are passed over."""
    yield root
    if depth == 0:
        return
    try:
        children = folders_in(root)
    except OSError:
        return
    for child in children:
        if child.is_symlink() or _EXAM.fullmatch(child.name):
            yield child
        else:
            yield from _folders_below(child, depth - 1)


def _is_corrected(folder: Path, root: Path) -> bool:
    return any(_CORRECTED in part.lower() for part in (root.name, *folder.relative_to(root).parts))


def _patient(exam: str) -> str:
    return exam.rsplit("-", 1)[0]
