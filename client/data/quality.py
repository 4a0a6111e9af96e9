"""What makes a file or a volume unusable, each fault with its own reason, and how bad cases are counted.

Every check raises `CaseRejected`; its message names the file and what to do, and stays at the site.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from client.data.case import LabelRule, Quarantined
from common.errors import CaseReason, CaseRejected

MIN_SPACING_MM = 0.1
MAX_SPACING_MM = 20.0
MAX_VOXELS = 1024**3
LABEL_TOLERANCE = 1e-3
_MAX_SPACING_DISAGREEMENT = 0.1
_MIN_VOLUME_RATIO = 1e-3
MAX_LABEL_VALUE = 65_535
_UNMAPPED = 255


def check_file(path: Path, case: str, missing: CaseReason) -> None:
    """Refuse a file that is not there (reason `missing`) or holds no byte (ZERO_BYTE_FILE)."""
    if not path.is_file():
        raise CaseRejected(missing, case, f"{path}: no such file; restore it or leave the case out")
    if path.stat().st_size == 0:
        raise CaseRejected(CaseReason.ZERO_BYTE_FILE, case, f"{path}: 0 bytes; copy the file again")


def check_shape(shape: tuple[int, ...], case: str, path: Path) -> tuple[int, int, int]:
    """The three lengths of a volume.

    Trailing axes of length 1 are dropped, (240, 240, 155, 1) being the same data as (240, 240, 155). More than
    three real axes, or a single slice, is NOT_3D; an axis of length 0 is EMPTY_VOLUME; more than 1024 cubed voxels
    is UNREADABLE_FILE, since such a header is damaged more often than true.
    """
    if len(shape) < 3 or any(length != 1 for length in shape[3:]):
        raise CaseRejected(CaseReason.NOT_3D, case, f"{path}: shape {shape}; give one 3-D volume a file")
    volume = (int(shape[0]), int(shape[1]), int(shape[2]))
    if 0 in volume:
        raise CaseRejected(CaseReason.EMPTY_VOLUME, case, f"{path}: shape {volume} holds no voxel")
    if 1 in volume:
        raise CaseRejected(CaseReason.NOT_3D, case, f"{path}: shape {volume} is one slice; give the whole volume")
    if volume[0] * volume[1] * volume[2] > MAX_VOXELS:
        raise CaseRejected(
            CaseReason.UNREADABLE_FILE, case, f"{path}: shape {volume} is above {MAX_VOXELS} voxels"
        )
    return volume


def check_spacing(affine: npt.NDArray[np.float64], zooms_mm: tuple[float, ...], case: str, path: Path) -> None:
    """Refuse a voxel geometry that cannot be a head scan (ABSURD_SPACING).

    That is: an affine that is not finite or singular (its voxel under a thousandth of the box that its edges
    span); an edge outside 0.1 to 20 mm by the affine or by the header's pixdim; the two apart by over 10 %, since
    then tools disagree on every lesion volume.
    """

    def refuse(what: str) -> CaseRejected:
        return CaseRejected(CaseReason.ABSURD_SPACING, case, f"{path}: {what}; export the file again")

    edges = np.linalg.norm(affine[:3, :3], axis=0)
    zooms = np.asarray(zooms_mm[:3], dtype=np.float64)
    for name, values in (("affine", edges), ("pixdim", zooms)):
        if not (
            np.isfinite(values).all() and (values >= MIN_SPACING_MM).all() and (values <= MAX_SPACING_MM).all()
        ):
            raise refuse(
                f"spacing {_listed(values)} mm ({name}) outside {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm"
            )
    if not np.isfinite(affine).all():
        raise refuse("the affine is not finite")
    if abs(np.linalg.det(affine[:3, :3])) < _MIN_VOLUME_RATIO * edges.prod():
        raise refuse("the affine is singular")
    if (np.abs(edges - zooms) > _MAX_SPACING_DISAGREEMENT * np.minimum(edges, zooms)).any():
        raise refuse(f"affine says {_listed(edges)} mm, pixdim {_listed(zooms)} mm")


def check_intensities(values: npt.NDArray[np.float32], case: str, path: Path) -> None:
    """Refuse an image with NaN or infinity (NOT_FINITE), all zero (EMPTY_VOLUME) or one value (CONSTANT_IMAGE)."""
    low, high = float(values.min()), float(values.max())  # NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(values.size - np.isfinite(values).sum())
        raise CaseRejected(CaseReason.NOT_FINITE, case, f"{path}: {count} voxels are NaN or infinite")
    if low == high == 0.0:
        raise CaseRejected(CaseReason.EMPTY_VOLUME, case, f"{path}: every voxel is 0")
    if low == high:
        raise CaseRejected(CaseReason.CONSTANT_IMAGE, case, f"{path}: every voxel is {low:g}")


def whole_labels(values: npt.NDArray[Any], case: str, path: Path) -> npt.NDArray[np.uint16]:
    """A label file's values as whole numbers (same shape, uint16), whatever they stand for.

    Values within 0.001 of a whole number count as that number, since float files hold 1.0000001. NaN and infinity
    are NOT_FINITE; fractions, as of a probability map, and what lies outside 0 to 65535 are ILLEGAL_LABEL.
    """
    if not np.isfinite(values).all():
        raise CaseRejected(
            CaseReason.NOT_FINITE, case, f"{path}: the label holds NaN or infinity; export it again"
        )
    if values.dtype.kind == "f":
        whole = np.rint(values)
        off = np.abs(values - whole)
        if float(off.max()) > LABEL_TOLERANCE:
            odd = float(values.flat[int(off.argmax())])
            detail = f"{path}: value {odd:g} is not a whole number; give a label map, not one of probabilities"
            raise CaseRejected(CaseReason.ILLEGAL_LABEL, case, detail)
        values = whole
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > MAX_LABEL_VALUE:
        odd = low if low < 0 else high
        detail = f"{path}: value {odd:g} is no label; give whole numbers from 0, background, to {MAX_LABEL_VALUE}"
        raise CaseRejected(CaseReason.ILLEGAL_LABEL, case, detail)
    return values.astype(np.uint16)


def classes_of(values: npt.NDArray[Any], rule: LabelRule, case: str, path: Path) -> npt.NDArray[np.uint8]:
    """Turn a label file's values into class indices (same shape, uint8).

    Values are read as by `whole_labels`. Any that the rule neither maps nor ignores is ILLEGAL_LABEL; 0 is always
    background. Example: mapping {1: 1, 3: 1, 4: 1}, ignored {2}: the file's 0 1 2 3 4 become 0 1 0 1 1.
    """
    indices = whole_labels(values, case, path)
    table = np.full(int(indices.max()) + 1, _UNMAPPED, dtype=np.uint8)
    for value, target in {**dict.fromkeys(rule.ignored, 0), **rule.mapping, 0: 0}.items():
        if 0 <= value < table.size:
            table[value] = target
    classes = table[indices]
    if (classes == _UNMAPPED).any():
        illegal = np.unique(indices[classes == _UNMAPPED])[:5].tolist()
        raise CaseRejected(CaseReason.ILLEGAL_LABEL, case, f"{path}: values {illegal}; {_legal(rule)}")
    return classes


def counts_by_reason(quarantined: Iterable[Quarantined]) -> dict[str, int]:
    """Number of quarantined cases by reason, in alphabetical order: all that may leave the site."""
    return dict(sorted(Counter(str(entry.reason) for entry in quarantined).items()))


def bad_count(counts: Mapping[str, int]) -> int:
    """Cases that ought to be usable and are not: all but EXCLUDED, which the dataset itself takes out.

    Example: {"excluded-by-dataset": 3, "not-3d": 2} has 2 bad cases.
    """
    return sum(count for reason, count in counts.items() if reason != CaseReason.EXCLUDED)


def bad_share(counts: Mapping[str, int], usable: int) -> float:
    """Bad cases over bad and usable ones: 1 bad and 19 usable is 0.05; 0 where there is neither."""
    bad = bad_count(counts)
    return bad / (bad + usable) if bad + usable else 0.0


def _legal(rule: LabelRule) -> str:
    return (
        f"legal are {sorted({0, *rule.mapping, *rule.ignored})}; "
        "correct the file, or name the value in label_map or ignore_labels"
    )


def _listed(values: npt.NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
