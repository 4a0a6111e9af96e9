"""From an experiment file to prepared sites: generate or list, partition, check and preprocess, split."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from client.case_list import cases_by_role
from client.data.adapters.build import label_rule, list_cases
from client.data.case import Case, LabelRule, Listing, Quarantined
from client.data.channels import what_lacks
from client.data.preprocessing import Recipe
from client.data.quality import bad_count
from client.data.splits import split_sites
from client.device import torch_device
from client.preparing import prepare_case, put_aside, recipe_for
from common.config import DataSection
from common.errors import CaseReason, DataError
from simulation.config import Experiment
from simulation.partition.build import Partition, partition_cases
from simulation.partition.lesions import read_lesion_volumes_mm3
from simulation.phantom.dataset import exam_list, finish_cohort, write_exam
from simulation.pool import Workers, in_turn
from simulation.progress import Progress
from simulation.site_labels import section_at, with_own_labels
from simulation.sites import CACHE_FOLDER, Prepared

COHORT_FOLDER = "cohort"


def prepare_sites(experiment: Experiment, folder: Path, workers: Workers, progress: Progress) -> Prepared:
    """Make every site of the experiment ready to train.

    Raises:
        DataError: no usable case at all, or a partition that cannot be.
        UserError: a GPU that this machine does not have; nothing is generated then.
    """
    torch_device(experiment.runtime.device)
    section = data_section(experiment, folder, workers, progress)
    listing = list_cases(section)
    if not listing.cases:
        raise DataError(
            f"{section.root}: no usable case found ({_reasons(listing.quarantined)}); check the layout"
        )
    for bad in listing.quarantined:
        if bad.reason is not CaseReason.EXCLUDED:
            progress.note(put_aside(bad))
    partition = divide(experiment, section, listing, label_rule(section, experiment.labels))
    known_bad = {bad.exam for bad in listing.quarantined}
    work = _work(experiment, section, partition, known_bad)
    keys, rejected = _prepare_all(work, folder / CACHE_FOLDER, workers, progress)
    if not keys:
        raise DataError(
            f"{section.root}: none of its {len(work)} cases can be used ({_reasons(rejected)}); "
            "the lines above say why, case by case"
        )
    return _split(experiment, partition, keys, (*listing.quarantined, *rejected))


def data_section(experiment: Experiment, folder: Path, workers: Workers, progress: Progress) -> DataSection:
    """Where the cases lie; phantoms are generated first, once, under `folder`/cohort."""
    if experiment.data is not None:
        return experiment.data
    assert experiment.phantom is not None
    root = folder / COHORT_FOLDER
    section = DataSection(
        adapter="ucsf_bmsr", root=root, labels="three_class" if len(experiment.labels) == 3 else "binary"
    )
    for site in experiment.phantom.sites:  # a site that cannot serve the plan is refused before anything is made
        recipe_for(section_at(experiment, section, site.name), experiment)
    if not (root / "cohort.json").exists():
        shutil.rmtree(root, ignore_errors=True)
        requests = exam_list(experiment.phantom, experiment.seed)
        progress.stage("phantoms", len(requests))
        records = []
        for request, record in in_turn(workers, write_exam, requests, lambda request: (request, root)):
            records.append(record)
            progress.advance(experiment.phantom.sites[request.site].name)
        finish_cohort(experiment.phantom, experiment.seed, tuple(records), root)
    return section


def divide(experiment: Experiment, section: DataSection, listing: Listing, rule: LabelRule) -> Partition:
    """Give every case, the unusable ones too, to a site: a site answers for its bad cases."""
    bad = tuple(Case(patient=bad.patient, exam=bad.exam, sequences={}) for bad in listing.quarantined)
    cases = sorted((*listing.cases, *bad), key=lambda case: case.exam)
    burden = None
    if experiment.partition.kind == "dirichlet":
        volumes = read_lesion_volumes_mm3(listing.cases, rule)
        burden = {case.exam: sum(volumes.get(case.exam, ())) for case in listing.cases}
    return partition_cases(experiment.partition, cases, burden, experiment.seed, section.root)


def _work(
    experiment: Experiment, section: DataSection, partition: Partition, known_bad: Set[str]
) -> list[tuple[Case, Recipe]]:
    """Every case that is to be prepared, by its site's own recipe."""
    work = []
    for site, listed in partition.sites.items():
        own = section_at(experiment, section, site)
        cases = tuple(case for case in listed if case.exam not in known_bad)
        recipe = recipe_for(own, experiment)
        work += [(case, recipe) for case in (cases if own == section else with_own_labels(own, cases))]
    return work


def _prepare_all(
    work: Sequence[tuple[Case, Recipe]], cache: Path, workers: Workers, progress: Progress
) -> tuple[dict[str, str], tuple[Quarantined, ...]]:
    progress.stage("preprocessing", len(work))
    keys: dict[str, str] = {}
    rejected = []
    for (case, _), outcome in in_turn(workers, prepare_case, work, lambda each: (*each, cache)):
        if isinstance(outcome, Quarantined):
            rejected.append(outcome)
            progress.note(put_aside(outcome))
        else:
            keys[case.exam] = outcome
        progress.advance(case.exam)
    return keys, tuple(rejected)


def _split(
    experiment: Experiment, partition: Partition, keys: Mapping[str, str], bad: Sequence[Quarantined]
) -> Prepared:
    usable = {name: tuple(c for c in cases if c.exam in keys) for name, cases in partition.sites.items()}
    patients = {name: sorted({case.patient for case in cases}) for name, cases in usable.items()}
    splits = split_sites(patients, experiment.split)
    bad_exams = {case.exam: case for case in bad}
    sites = [
        cases_by_role(
            name,
            cases,
            keys,
            splits.roles[name],
            [bad_exams[case.exam] for case in cases if case.exam in bad_exams],
            experiment,
        )
        for name, cases in partition.sites.items()
    ]
    lacks = [
        f"site {site.name}: {what_lacks(site.lacking, len(site.cases) + bad_count(site.quarantined), experiment)}"
        for site in sites
        if site.lacking
    ]
    return Prepared(
        plan=experiment.plan_for(tuple(usable)),
        sites=tuple(sites),
        device=str(torch_device(experiment.runtime.device)),
        left_out=partition.left_out,
        notes=(*partition.notes, *splits.notes, *lacks),
    )


def _reasons(bad: Sequence[Quarantined]) -> str:
    counts = Counter(case.reason for case in bad if case.reason != CaseReason.EXCLUDED)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing there"
