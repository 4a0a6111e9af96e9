"""What a report shows, as plain records: everything is handed in, nothing is looked up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.metrics.scores import CaseScores

Picture: TypeAlias = npt.NDArray[np.float32]
Outline: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One site in one round: mean training loss, and validation Dice of the model the round began with."""

    round_id: int
    site: str
    loss: float | None
    dice: float | None


@dataclass(frozen=True, slots=True)
class SliceExample:
    """One axial slice of a test case, seen from the feet: the patient's right is on the left.

    Attributes:
        title: why it is shown, such as "median".
        exam, site, dice: whose, and how well it went over the whole volume.
        images: (rows, columns) float32 from 0 (black) to 1 (white) by sequence; rows run from front to back.
        reference, prediction: (rows, columns) masks.
        pixel_mm: height and width of a pixel.
        focus: row and column that a close-up is centred on.
        remark: what the slice was chosen by.
    """

    title: str
    exam: str
    site: str
    dice: float
    images: Mapping[str, Picture]
    reference: Outline
    prediction: Outline
    pixel_mm: tuple[float, float]
    focus: tuple[int, int]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything on the page.

    Attributes:
        name: the experiment's name.
        result: result.json; rounds, arms, comparisons, cases, notes, quarantine and seconds are read from it.
        config_text: the experiment file as the user wrote it.
        federated_scores: the federated model's answers, case by case; the result holds their sums alone.
        lesion_volumes_mm3: reference lesions of all of a site's cases.
        slices: examples, in the order in which they are shown.
        cohort: what the images are, in a few words, such as "generated phantoms, no patients".
    """

    name: str
    result: Mapping[str, Any]
    config_text: str
    federated_scores: tuple[CaseScores, ...] = ()
    lesion_volumes_mm3: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    slices: tuple[SliceExample, ...] = ()
    cohort: str = ""
