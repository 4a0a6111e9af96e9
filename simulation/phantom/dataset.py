"""A cohort on disk in the layout of UCSF-BMSR, read back through the same adapter as real data.

ROOT/
├── UCSF_BrainMetastases_v1.3/
│   ├── TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx
│   └── UCSF_BrainMetastases_TRAIN/<ID>/<ID>_{T1pre,T1post,FLAIR,T2Synth,subtraction,seg,BraTS-seg}.nii.gz
├── sites.csv       Partition_ID,Subject_ID
└── cohort.json     what was drawn

An exam depends on (seed, site name, patient, exam) and the section alone: any order, any process, the same bytes.
"""

from pathlib import Path

import numpy as np

from common.plan import Sequence
from simulation.phantom.exam import PhantomExam, make_exam
from simulation.phantom.fields import generator
from simulation.phantom.lesions import DrawnLesion
from simulation.phantom.nifti import grid_affine, write_bytes, write_nifti
from simulation.phantom.profile import PhantomSection, SiteProfile
from simulation.phantom.records import CohortRecord, ExamRecord, ExamRequest, LesionRecord, SubjectRecord
from simulation.phantom.spreadsheet import subject_table

DATASET = "UCSF_BrainMetastases_v1.3"
TRAIN = "UCSF_BrainMetastases_TRAIN"
SPREADSHEET = "TableS1_UCSF_BrainMetastases_SubjectInfo.xlsx"
MAX_EXAMS = 10
SUFFIX: dict[Sequence, str] = {
    "t1": "T1pre",
    "t1c": "T1post",
    "flair": "FLAIR",
    "t2": "T2Synth",
    "subtraction": "subtraction",
}


def exam_list(section: PhantomSection, seed: int) -> tuple[ExamRequest, ...]:
    """Every exam of the cohort, by site, patient and exam; nothing is rendered.

    A patient has one exam and a Poisson number of later ones, ten at most.
    """
    requests = []
    for site, profile in enumerate(section.sites):
        for patient in range(profile.patients):
            rng = generator(seed, profile.name, patient, "exams")
            exams = min(1 + int(rng.poisson(profile.exams_per_patient - 1.0)), MAX_EXAMS)
            requests += [
                ExamRequest(section=section, seed=seed, site=site, patient=patient, exam=exam)
                for exam in range(exams)
            ]
    return tuple(requests)


def write_exam(request: ExamRequest, root: Path) -> ExamRecord:
    """Render one exam and write its folder; safe beside other processes that write other exams.

    Raises:
        StorageError: the disk refuses.
    """
    profile = request.section.sites[request.site]
    subject = _draw_subject(profile, request.seed, request.patient)
    exam = make_exam(request.section, profile, subject.primary, request.seed, request.patient, request.exam)
    rng = generator(request.seed, profile.name, request.patient, request.exam, "table")
    x, y, z = (float(value) for value in rng.uniform(-15.0, 15.0, size=3))
    affine = grid_affine(exam.grid.shape, exam.grid.spacing_mm, (x, y, z))
    folder = exam_folder(root, request.subject_id)
    for sequence, suffix in SUFFIX.items():
        if sequence not in profile.missing:
            path = folder / f"{request.subject_id}_{suffix}.nii.gz"
            write_nifti(path, exam.images[sequence], affine, profile.orientation)
    for suffix, label in (("seg", exam.annotation.binary), ("BraTS-seg", exam.annotation.three_class)):
        write_nifti(folder / f"{request.subject_id}_{suffix}.nii.gz", label, affine, profile.orientation)
    return ExamRecord(
        subject_id=request.subject_id, site=profile.name, subject=subject, lesions=_lesion_records(exam)
    )


def finish_cohort(section: PhantomSection, seed: int, records: tuple[ExamRecord, ...], root: Path) -> None:
    """Write the tables once every exam is there; `records` may come in any order.

    Raises:
        StorageError: the disk refuses.
    """
    exams = tuple(sorted(records, key=lambda record: record.subject_id))
    write_bytes(root / DATASET / SPREADSHEET, subject_table(exams, section))
    rows = "".join(f"{exam.site},{exam.subject_id}\n" for exam in exams)
    write_bytes(root / "sites.csv", f"Partition_ID,Subject_ID\n{rows}".encode())
    cohort = CohortRecord(seed=seed, lesion_scale=section.lesion_scale, section=section, exams=exams)
    write_bytes(root / "cohort.json", cohort.to_json().encode())


def exam_folder(root: Path, subject_id: str) -> Path:
    """Where an exam's files lie."""
    return root / DATASET / TRAIN / subject_id


def _draw_subject(profile: SiteProfile, seed: int, patient: int) -> SubjectRecord:
    rng = generator(seed, profile.name, patient, "subject")
    names = tuple(sorted(profile.primary_cancer))
    shares = np.array([profile.primary_cancer[name] for name in names])
    primary = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    return SubjectRecord(
        sex="Female" if rng.random() < 0.55 else "Male",
        age_years=int(np.clip(rng.normal(61.0, 12.0), 22, 92)),
        primary=primary,
        prior_surgery=bool(rng.random() < 0.26),
    )


def _lesion_records(exam: PhantomExam) -> tuple[LesionRecord, ...]:
    placed = {rendered.lesion.slot: rendered for rendered in exam.lesions}

    def record(drawn: DrawnLesion) -> LesionRecord:
        if drawn.slot not in placed:
            return LesionRecord(
                slot=drawn.slot, drawn_mm3=drawn.volume_mm3, kind=None, centre_mm=None, annotated_mm3=0.0,
                fate="no-room",
            )  # fmt: skip
        rendered = placed[drawn.slot]
        voxels = exam.annotation.voxels[drawn.slot]
        missed = drawn.slot in exam.annotation.missed
        return LesionRecord(
            slot=drawn.slot,
            drawn_mm3=drawn.volume_mm3,
            kind=rendered.appearance.kind,
            centre_mm=rendered.lesion.centre_mm,
            annotated_mm3=voxels * exam.grid.voxel_volume_mm3,
            fate="annotated" if voxels else "missed-by-annotator" if missed else "below-resolution",
        )

    return tuple(record(drawn) for drawn in exam.drawn)
