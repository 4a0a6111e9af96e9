"""The rules that `fedmets-site score` knows; apart, so that the command's help need not load numpy."""

from enum import StrEnum


class Rule(StrEnum):
    """Whose lesions, matches and penalties the lesion-wise figures follow."""

    BRATS_2023 = "brats2023"
    PANOPTICA_2025 = "panoptica2025"
