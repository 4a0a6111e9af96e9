"""How nearly predicted volumes are the reference's, over the cases of two folders."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.scoring import ScoredPair
from common.metrics.intervals import Interval
from common.statistics.bland_altman import Agreement, agreement, agreement_of_ratios
from common.statistics.concordance import concordance


@dataclass(frozen=True, slots=True)
class VolumeAgreement:
    """One region's volume a case, prediction against reference.

    Attributes:
        concordance: Lin's coefficient.
        difference_mm3: Bland-Altman of prediction - reference.
        ratio: the same of prediction / reference; cases that have none in one of the two are left out and counted.
    """

    concordance: Interval
    difference_mm3: Agreement
    ratio: Agreement

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "concordance": self.concordance.to_dict(),
            "difference_mm3": self.difference_mm3.to_dict(),
            "ratio": self.ratio.to_dict(),
        }


def volume_agreement(cases: Sequence[ScoredPair], region: str) -> VolumeAgreement:
    """Compare the volumes of a region; the cases are taken to be of as many patients.

    Predicted 110, 90 and reference 100, 100 mm3: bias 0 mm3, limits -27.7 and 27.7 mm3.
    """
    predicted, expected = [], []
    for case in cases:
        voxels, voxel_mm3 = case.regions[region].voxels, math.prod(case.spacing_mm)
        predicted.append((voxels.tp + voxels.fp) * voxel_mm3)
        expected.append((voxels.tp + voxels.fn) * voxel_mm3)
    return VolumeAgreement(
        concordance(predicted, expected), agreement(predicted, expected), agreement_of_ratios(predicted, expected)
    )


def agreements_as_json(cases: Mapping[str, ScoredPair]) -> dict[str, Any]:
    """By region, over all cases."""
    pairs = list(cases.values())
    return {region: volume_agreement(pairs, region).to_dict() for region in (pairs[0].regions if pairs else ())}
