"""Cases made by hand: no files, or files of a few bytes in a layout."""

from pathlib import Path

from client.data.case import Case, Metadata


def exam(patient: str, letter: str = "A", **metadata: str | float) -> Case:
    known = Metadata(
        sex=str(metadata["sex"]) if "sex" in metadata else None,
        primary_cancer=str(metadata["primary_cancer"]) if "primary_cancer" in metadata else None,
        field_strength_t=float(metadata["field_strength_t"]) if "field_strength_t" in metadata else None,
    )
    return Case(patient, patient + letter, {"t1c": Path(f"{patient}{letter}.nii.gz")}, metadata=known)


def patients(count: int, exams: int = 1) -> list[Case]:
    return [exam(f"{100 + i}", "ABCD"[j]) for i in range(count) for j in range(exams)]
