"""From a [data] section to a listing and a label rule: the only place that knows every adapter."""

from collections.abc import Callable, Mapping

from client.data.adapters.brats_mets import has_resection_cavities, list_brats_mets
from client.data.adapters.label_values import rule_of, shown_by_map
from client.data.adapters.nifti_folders import list_nifti_folders
from client.data.adapters.ucsf_bmsr import list_ucsf_bmsr
from client.data.case import LabelRule, Listing
from common.config import DataSection
from common.errors import ConfigError
from common.label_meanings import indices_astride
from common.plan import Terms

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
    on 1 to 4; nifti_folders as many as the plan has labels. A value may stand for several classes, and classes may
    be `unannotated` (client/data/adapters/label_values.py).

    Example: plan labels ("tumour",), label_map {1: 1, 3: 1, 4: 1}, ignore_labels (2,): oedema is background.

    Raises:
        ConfigError: the set does not fit the plan's labels, and a label_map is needed.
    """
    if section.label_map is not None:
        return rule_of(section, shown_by_map(section, labels), labels)
    count = _own_values(section, len(labels))
    own = {value: frozenset({value}) for value in range(1, count + 1) if value not in section.ignore_labels}
    binary = section.adapter == "ucsf_bmsr" and section.labels == "binary"
    if max(own, default=0) > len(labels) or (binary and len(labels) > 1):
        raise ConfigError(
            f"[data]: labels of {section.adapter} at {section.root} hold {sorted(own)}, the plan has "
            f"{list(labels)}; give a label_map, such as label_map = {{ 1 = 1 }}, and ignore_labels for the rest"
        )
    return rule_of(section, own, labels)


def label_rule_for(section: DataSection, terms: Terms) -> LabelRule:
    """The label rule of a site that is to train and to be judged under these terms.

    Raises:
        ConfigError: as `label_rule`; or the labels cannot tell what `evaluation.tumour` counts from the rest.
    """
    rule = label_rule(section, terms.labels)
    tumour = terms.tumour_classes
    astride = indices_astride(rule.meanings, tumour)
    if astride:
        names = ("background", *terms.labels)
        what = " or ".join(names[each] for each in rule.meanings[astride[0]])
        counted = [names[each] for each in sorted(tumour)]
        raise ConfigError(
            f"[data] of {section.root}: a voxel of its labels may be {what}, and the plan counts {counted} as "
            "tumour, which they cannot tell from the rest; set evaluation.tumour to what every site can tell"
        )
    return rule


def _own_values(section: DataSection, label_count: int) -> int:
    """The highest label value of the adapter's set."""
    if section.adapter == "ucsf_bmsr":
        return 1 if section.labels == "binary" else 3
    if section.adapter == "brats_mets":
        return 4 if has_resection_cavities(section.root) else 3
    return label_count
