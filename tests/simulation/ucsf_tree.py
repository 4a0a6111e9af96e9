"""A tiny tree after the published layout of UCSF-BMSR, written by hand: a brain of 2 cm, and a spreadsheet."""

from pathlib import Path

import numpy as np
import openpyxl

from tests.nifti import write_nifti

HEADER = ("SubjectID", "Sex", "Age", "CancerType", "Scanner Strength (Tesla)", "BraTS_ID")
PRIMARIES = ("Lung", "Breast", "Melanoma")
SHAPE, SPACING_MM = (24, 28, 16), (0.8594, 0.8594, 1.5)
_BRAIN_MM, _SHELLS_MM, _PLACE_MM = 8.6, (1.0, 2.0, 3.2), 3.6
SEQUENCES = ("T1pre", "T1post", "FLAIR", "subtraction", "T2Synth")


def write_tree(root: Path, patients: int = 18) -> Path:
    """Exams 100101A and so on; every third has binary labels alone, the second has no subtraction.

    The spacing is the set's median, so that a protocol's own spacing leaves the images as small as they are.

    Patients have the three primaries by twos and, by threes, 3 T or 1.5 T. 100363B is there to be left out.
    """
    release = root / "UCSF_BrainMetastases_v1.3"
    rows: list[tuple[str | float | None, ...]] = []
    for number in range(patients):
        exam = f"{100101 + number}A"
        three_class = number % 3 != 2
        _write_exam(release, exam, number, three_class=three_class, without="subtraction" if number == 1 else "")
        strength = 1.5 if number // 3 % 2 else 3
        brats = f"BraTS-MET-{number:05d}-000" if three_class else None
        rows.append((exam, "F", 60 + number % 2, PRIMARIES[number // 2 % 3], strength, brats))
    _write_exam(release, "100363B", 0, three_class=True, without="")
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "RENAMED"
    for row in (HEADER, *rows):
        sheet.append(row)
    book.save(release / "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx")
    return release


def _write_exam(release: Path, exam: str, seed: int, *, three_class: bool, without: str) -> None:
    rng = np.random.default_rng(seed)
    places = np.indices(SHAPE).transpose(1, 2, 3, 0) * SPACING_MM - np.array(SHAPE) * np.array(SPACING_MM) / 2
    brain = np.linalg.norm(places, axis=-1) < _BRAIN_MM
    distance = np.linalg.norm(places - rng.uniform(-_PLACE_MM, _PLACE_MM, 3), axis=-1)
    labels = np.select([distance < edge for edge in _SHELLS_MM], [1, 3, 2], 0).astype(np.uint8)
    labels[~brain] = 0
    folder, affine = release / "UCSF_BrainMetastases_TRAIN" / exam, np.diag([*SPACING_MM, 1.0])
    for sequence in SEQUENCES:
        if sequence != without:
            image = brain * (300.0 + rng.normal(0.0, 20.0, SHAPE) + 40.0 * labels)
            write_nifti(folder / f"{exam}_{sequence}.nii.gz", image.astype(np.int16), affine)
    write_nifti(folder / f"{exam}_seg.nii.gz", np.isin(labels, (1, 3)).astype(np.uint8), affine)
    if three_class:
        write_nifti(folder / f"{exam}_BraTS-seg.nii.gz", labels, affine)
