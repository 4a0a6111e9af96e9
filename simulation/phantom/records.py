"""What a cohort says about itself: cohort.json, the truth behind the files."""

from typing import Literal

from common.plan import Name
from common.schema import Frozen
from simulation.phantom.profile import PhantomSection, Primary


class ExamRequest(Frozen):
    """One exam to write; everything a separate process needs.

    Attributes:
        section, seed: of the cohort.
        site: index into the section's sites.
        patient, exam: indices within the site and within the patient.
    """

    section: PhantomSection
    seed: int
    site: int
    patient: int
    exam: int

    @property
    def patient_id(self) -> str:
        """Six digits, unique in the cohort: site 1, patient 0 is 111001."""
        return str(110_001 + 1_000 * self.site + self.patient)

    @property
    def subject_id(self) -> str:
        """Patient and exam letter, as UCSF-BMSR names exams: 111001A."""
        return self.patient_id + "ABCDEFGHIJ"[self.exam]


class LesionRecord(Frozen):
    """One lesion, as drawn and as it ended up.

    Attributes:
        slot: identity within the patient; the same in later exams.
        drawn_mm3: drawn volume, `lesion_scale` included.
        kind: enhancement; None where the brain had no room.
        centre_mm: from the centre of the view, RAS; None where the brain had no room.
        annotated_mm3: volume in the label file; 0 for a lesion below the resolution, missed, or without room.
        fate: annotated; or why not.
    """

    slot: int
    drawn_mm3: float
    kind: Literal["solid", "ring", "irregular"] | None
    centre_mm: tuple[float, float, float] | None
    annotated_mm3: float
    fate: Literal["annotated", "below-resolution", "missed-by-annotator", "no-room"]


class SubjectRecord(Frozen):
    """A row of the subject table."""

    sex: Literal["Female", "Male"]
    age_years: int
    primary: Primary
    prior_surgery: bool


class ExamRecord(Frozen):
    """One exam of the cohort."""

    subject_id: str
    site: Name
    subject: SubjectRecord
    lesions: tuple[LesionRecord, ...]


class CohortRecord(Frozen):
    """cohort.json: profile, seed, stated lesion scale, and every lesion drawn."""

    schema_version: Literal[1] = 1
    seed: int
    lesion_scale: float
    section: PhantomSection
    exams: tuple[ExamRecord, ...]
