"""One case's row of a dataset's fingerprint: spacing, size of the brain's box, intensities inside the brain."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from client.data.case import Case, PreparedCase, Quarantined
from client.data.geometry import resample
from client.data.grids import to_ras
from client.data.preprocessing import Recipe, prepare, required_files
from client.data.volume import read_grid, read_image
from common.errors import CaseReason, CaseRejected
from common.planning.fingerprint import CaseFingerprint, Intensity

_PERCENTILES = (0.5, 99.5)


def case_fingerprint(case: Case, recipe: Recipe) -> CaseFingerprint | Quarantined:
    """Look at a case as training would, at its own spacing; what training would put aside is put aside.

    Args:
        case: on disk.
        recipe: of the plan to be; its spacing and margin do not count.
    """
    try:
        return _row(case, recipe)
    except CaseRejected as rejection:
        return Quarantined(case.patient, case.exam, rejection.reason, rejection.detail)


def _row(case: Case, recipe: Recipe) -> CaseFingerprint:
    first = required_files(case, recipe)[recipe.sequences[0]]
    native = read_grid(first, case.exam, CaseReason.MISSING_SEQUENCE)
    _, grid = to_ras(np.broadcast_to(np.False_, native.shape), native)
    own = recipe.spec.model_copy(update={"spacing_mm": grid.spacing_mm, "crop_margin_mm": 0.0})
    prepared = prepare(case, replace(recipe, spec=own))
    present = [name for name in recipe.sequences if name in case.sequences]
    return CaseFingerprint(
        exam=case.exam,
        patient=case.patient,
        spacing_mm=grid.spacing_mm,
        shape=prepared.grid.shape,
        cropped_share=float(np.prod(prepared.grid.shape) / np.prod(native.shape)),
        intensities={name: _intensity(case, name, prepared) for name in present},
    )


def _intensity(case: Case, sequence: str, prepared: PreparedCase) -> Intensity:
    """A sequence's values in the brain; preparation keeps z-scores only, so the file is read again."""
    volume = read_image(case.sequences[sequence], case.exam)
    values = resample(volume.values, volume.grid, prepared.grid, outside=np.nan)
    inside: npt.NDArray[np.float64] = values[prepared.mask > 0].astype(np.float64)
    inside = inside[np.isfinite(inside)]
    low, high = np.percentile(inside, _PERCENTILES)
    return Intensity(mean=float(inside.mean()), sd=float(inside.std()), p005=float(low), p995=float(high), cases=1)
