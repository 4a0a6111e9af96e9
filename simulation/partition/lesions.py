"""Lesion volumes straight from label files, for partitions that are made before any preprocessing."""

from collections.abc import Iterable

from client.data.case import Case, LabelRule
from client.data.quality import classes_of
from client.data.volume import read_volume
from common.errors import CaseReason, CaseRejected
from common.metrics.detection import lesion_volumes_mm3


def read_lesion_volumes_mm3(cases: Iterable[Case], rule: LabelRule) -> dict[str, tuple[float, ...]]:
    """Volumes of the 26-connected lesions of every exam whose label can be read, on the label's own grid.

    Every class that the rule maps above 0 is lesion. An exam whose label cannot be used is not in the result:
    preparation will put it aside with its reason, here it only has nothing to say. `sum(volumes)` is the burden
    of an exam, in mm3.
    """
    volumes = {}
    for case in cases:
        if case.label is None:
            continue
        try:
            label = read_volume(case.label, case.exam, CaseReason.MISSING_LABEL)
            classes = classes_of(label.values, rule, case.exam, case.label)
        except CaseRejected:
            continue
        volumes[case.exam] = lesion_volumes_mm3(classes, label.grid.voxel_volume_mm3)
    return volumes
