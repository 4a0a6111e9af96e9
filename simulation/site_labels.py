"""How a site of a generated cohort drew its tumours: in three classes, or as one mask without oedema.

A phantom exam comes with both label files, as an exam of UCSF-BMSR does. Which of them a site has, and what its
values mean to the plan, is the site's own [data] section, as a hospital would write it.
"""

from client.data.adapters.build import list_cases
from client.data.case import Case
from common.config import DataSection
from common.errors import DataError
from simulation.config import Experiment

_CLASSES = 3  # NETC 1, SNFH 2, ET 3 in the files, and in this order in a plan of three labels


def section_at(experiment: Experiment, section: DataSection, site: str) -> DataSection:
    """The section of a site whose annotators drew otherwise than the cohort's; the cohort's own for all others.

    For a plan with the labels netc, snfh and et a binary site has label_map = { 1 = ["netc", "et"] } and
    unannotated = ["snfh"]. For a plan with one label a three-class site maps 1 and 3 to it and ignores oedema.
    """
    profiles = experiment.phantom.sites if experiment.phantom is not None else ()
    drawn = next((profile.labels for profile in profiles if profile.name == site), None) or section.labels
    if drawn == section.labels:
        return section
    if len(experiment.labels) == _CLASSES:
        core, oedema, rim = experiment.labels
        own = {"label_map": {1: (core, rim)}, "unannotated": (oedema,)}
    else:
        own = {"label_map": {1: 1, 3: 1}, "ignore_labels": (2,)}
    return section.model_copy(update={"labels": drawn, **own})


def with_own_labels(own: DataSection, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """The same cases, each with the label file that the site's own section names.

    Raises:
        DataError: a case is not there under that section.
    """
    found = {case.exam: case for case in list_cases(own).cases}
    lacking = [case.exam for case in cases if case.exam not in found]
    if lacking:
        raise DataError(f"{own.root}: exam {lacking[0]} has no {own.labels} label; generate the cohort anew")
    return tuple(found[case.exam] for case in cases)
