"""Lesion volumes straight from label files, for partitions that are made before any preprocessing."""

from collections.abc import Iterable

import nibabel
import numpy as np

from client.data.case import Case, LabelRule
from common.metrics.detection import lesion_volumes_mm3

_UNREADABLE = (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError)


def read_lesion_volumes_mm3(cases: Iterable[Case], rule: LabelRule) -> dict[str, tuple[float, ...]]:
    """Volumes of the 26-connected lesions of every exam whose label can be read, on the label's own grid.

    Every class that the rule maps above 0 is lesion. An exam without a readable 3-D label is not in the result:
    preparation will put it aside with its reason, here it only has nothing to say. `sum(volumes)` is the burden
    of an exam, in mm3.
    """
    foreground = [value for value, index in rule.mapping.items() if index > 0]
    volumes = {}
    for case in cases:
        if case.label is None:
            continue
        try:
            image = nibabel.load(case.label)
            values = np.rint(np.asanyarray(image.dataobj))
        except _UNREADABLE:
            continue
        if values.ndim == 3:
            voxel_volume_mm3 = float(abs(np.linalg.det(image.affine[:3, :3])))
            volumes[case.exam] = lesion_volumes_mm3(np.isin(values, foreground), voxel_volume_mm3)
    return volumes
