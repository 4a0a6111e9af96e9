"""From an experiment file to prepared sites: generate or list, partition, check and preprocess, split."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from client.case_list import cases_by_role
from client.data.adapters.build import label_rule, list_cases
from client.data.case import Case, LabelRule, Listing, Quarantined
from client.data.preprocessing import Recipe
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
from simulation.sites import CACHE_FOLDER, Prepared

COHORT_FOLDER = "cohort"


def prepare_sites(experiment: Experiment, folder: Path, workers: Workers, progress: Progress) -> Prepared:
    """Make every site of the experiment ready to train.

    Raises:
        DataError: no usable case at all, or a partition that cannot be.
    """
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
    cases = [case for site in partition.sites.values() for case in site if case.exam not in known_bad]
    recipe = recipe_for(section, experiment)
    keys, rejected = _prepare_all(cases, recipe, folder / CACHE_FOLDER, workers, progress)
    if not keys:
        raise DataError(
            f"{section.root}: none of its {len(cases)} cases can be used ({_reasons(rejected)}); "
            "the lines above say why, case by case"
        )
    return _split(experiment, partition, keys, (*listing.quarantined, *rejected))


def data_section(experiment: Experiment, folder: Path, workers: Workers, progress: Progress) -> DataSection:
    """Where the cases lie; phantoms are generated first, once, under `folder`/cohort."""
    if experiment.data is not None:
        return experiment.data
    assert experiment.phantom is not None
    root = folder / COHORT_FOLDER
    if not (root / "cohort.json").exists():
        shutil.rmtree(root, ignore_errors=True)
        requests = exam_list(experiment.phantom, experiment.seed)
        progress.stage("phantoms", len(requests))
        records = []
        for request, record in in_turn(workers, write_exam, requests, lambda request: (request, root)):
            records.append(record)
            progress.advance(experiment.phantom.sites[request.site].name)
        finish_cohort(experiment.phantom, experiment.seed, tuple(records), root)
    return DataSection(
        adapter="ucsf_bmsr", root=root, labels="three_class" if len(experiment.labels) == 3 else "binary"
    )


def divide(experiment: Experiment, section: DataSection, listing: Listing, rule: LabelRule) -> Partition:
    """Give every case, the unusable ones too, to a site: a site answers for its bad cases."""
    bad = tuple(Case(patient=bad.patient, exam=bad.exam, sequences={}) for bad in listing.quarantined)
    cases = sorted((*listing.cases, *bad), key=lambda case: case.exam)
    burden = None
    if experiment.partition.kind == "dirichlet":
        volumes = read_lesion_volumes_mm3(listing.cases, rule)
        burden = {case.exam: sum(volumes.get(case.exam, ())) for case in listing.cases}
    return partition_cases(experiment.partition, cases, burden, experiment.seed, section.root)


def _prepare_all(
    cases: Sequence[Case], recipe: Recipe, cache: Path, workers: Workers, progress: Progress
) -> tuple[dict[str, str], tuple[Quarantined, ...]]:
    progress.stage("preprocessing", len(cases))
    keys: dict[str, str] = {}
    rejected = []
    for case, outcome in in_turn(workers, prepare_case, cases, lambda case: (case, recipe, cache)):
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
            usable[name],
            keys,
            splits.roles[name],
            (bad_exams[case.exam] for case in cases if case.exam in bad_exams),
        )
        for name, cases in partition.sites.items()
    ]
    return Prepared(
        plan=experiment.plan_for(tuple(usable)),
        sites=tuple(sites),
        device=str(torch_device(experiment.runtime.device)),
        left_out=partition.left_out,
        notes=(*partition.notes, *splits.notes),
    )


def _reasons(bad: Sequence[Quarantined]) -> str:
    counts = Counter(case.reason for case in bad if case.reason != CaseReason.EXCLUDED)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing there"
