"""From a [data] section to a listing and a label rule: the only place that knows every adapter."""

from collections.abc import Callable, Mapping

from client.data.adapters.brats_mets import has_resection_cavities, list_brats_mets
from client.data.adapters.nifti_folders import list_nifti_folders
from client.data.adapters.ucsf_bmsr import list_ucsf_bmsr
from client.data.case import LabelRule, Listing
from common.config import DataSection
from common.errors import ConfigError

_LISTINGS: Mapping[str, Callable[[DataSection], Listing]] = {
    "nifti_folders": list_nifti_folders,
    "ucsf_bmsr": list_ucsf_bmsr,
    "brats_mets": list_brats_mets,
}


def list_cases(section: DataSection) -> Listing:
    """Find a site's cases; a bad one is quarantined with its reason and the listing goes on.

    Raises:
        DataError: the root or a table cannot serve; the message names the path and what to do.
    """
    return _LISTINGS[section.adapter](section)


def label_rule(section: DataSection, labels: tuple[str, ...]) -> LabelRule:
    """Which values of the label files are legal and which of the plan's classes they become.

    With a `label_map` exactly its values, those of `ignore_labels`, and 0. Without one the adapter's own set, each
    value being the class of the same number: UCSF-BMSR 1, or 1 to 3 with three_class; BraTS-METS 1 to 3, from 2025
    on 1 to 4; nifti_folders as many as the plan has labels.

    Example: plan labels ("tumour",), label_map {1: 1, 3: 1, 4: 1}, ignore_labels (2,): oedema is background.

    Raises:
        ConfigError: the set does not fit the plan's labels, and a label_map is needed.
    """
    ignored = frozenset(section.ignore_labels)
    if section.label_map is not None:
        return LabelRule(_checked_map(section.label_map, labels), ignored)
    count = _own_values(section, len(labels))
    mapping = {value: value for value in range(1, count + 1) if value not in ignored}
    needed = max(mapping, default=0)
    binary = section.adapter == "ucsf_bmsr" and section.labels == "binary"
    if needed > len(labels) or (binary and len(labels) > 1):
        raise ConfigError(
            f"[data]: labels of {section.adapter} at {section.root} hold {sorted(mapping)}, the plan has "
            f"{list(labels)}; give a label_map, such as label_map = {{ 1 = 1 }}, and ignore_labels for the rest"
        )
    return LabelRule(mapping, ignored)


def _own_values(section: DataSection, label_count: int) -> int:
    """The highest label value of the adapter's set."""
    if section.adapter == "ucsf_bmsr":
        return 1 if section.labels == "binary" else 3
    if section.adapter == "brats_mets":
        return 4 if has_resection_cavities(section.root) else 3
    return label_count


def _checked_map(label_map: Mapping[int, int], labels: tuple[str, ...]) -> dict[int, int]:
    if label_map.get(0, 0) != 0:
        raise ConfigError(f"[data].label_map: 0 is background, got 0 = {label_map[0]}; leave 0 out")
    beyond = {value: target for value, target in label_map.items() if target > len(labels)}
    if beyond:
        raise ConfigError(
            f"[data].label_map: {beyond} goes beyond the plan's {len(labels)} label(s) {list(labels)}; "
            f"map to 1 to {len(labels)}, or to 0 for background"
        )
    return dict(label_map)
