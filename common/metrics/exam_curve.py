"""What one model finds in one exam over a ladder of thresholds: the sums that a FROC curve is made of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.metrics.froc import ScanCounts
from common.metrics.scores import VOLUME_BANDS, volume_band

EVERY_LESION = "all"
LESION_GROUPS = (EVERY_LESION, *VOLUME_BANDS)


@dataclass(frozen=True, slots=True)
class ExamCurve:
    """Counts of one exam, by threshold in the order of froc.THRESHOLDS; no probability is kept.

    Attributes:
        patient, exam, site: whose; `site` is where the exam lies, not where the model was trained.
        voxel_auc: chance that a voxel of a lesion has a higher probability than one outside, over all voxels of
            the exam's grid; None without a lesion.
        lesions: by LESION_GROUPS (mm3), reference lesions.
        found: by the same groups and by threshold, those of them that were found.
        false_positives: by threshold, predicted components that touch no lesion.
    """

    patient: str
    exam: str
    site: str
    voxel_auc: float | None
    lesions: Mapping[str, int]
    found: Mapping[str, tuple[int, ...]]
    false_positives: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ExamCurve":
        """The inverse of `to_dict`."""
        found = {group: tuple(values["found"][group]) for group in LESION_GROUPS}
        return cls(**{**values, "found": found, "false_positives": tuple(values["false_positives"])})


def exam_curve(
    counts: ScanCounts, voxel_volume_mm3: float, voxel_auc: float | None, patient: str, exam: str, site: str
) -> ExamCurve:
    """Sum a scan's lesions by volume.

    Lesions of 20 and 300 mm3, both found at the first threshold and the larger one at the second: found
    {"all": (2, 1), "under_27": (1, 0), "27_to_275": (0, 0), "over_275": (1, 1)}.
    """
    bands = [volume_band(float(voxels) * voxel_volume_mm3) for voxels in counts.reference_voxels]
    members = {
        group: [place for place, band in enumerate(bands) if group in (EVERY_LESION, band)]
        for group in LESION_GROUPS
    }
    return ExamCurve(
        patient=patient,
        exam=exam,
        site=site,
        voxel_auc=voxel_auc,
        lesions={group: len(own) for group, own in members.items()},
        found={
            group: tuple(int(hits) for hits in counts.found[:, own].sum(axis=1)) for group, own in members.items()
        },
        false_positives=tuple(int(false) for false in counts.false_positives),
    )
