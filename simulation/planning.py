"""`fedmets-sim plan`: from an experiment file's cases to the plan that nnU-Net's rules give for them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.data.adapters.build import list_cases
from client.data.case import Quarantined
from client.data.fingerprint import case_fingerprint
from client.data.quality import counts_by_reason
from client.preparing import put_aside, recipe_for
from common.config import DataSection, validate
from common.errors import CaseReason, ConfigError, DataError
from common.model.build import check_patch_size, new_network
from common.planning.fingerprint import CaseFingerprint, Fingerprint, summarise
from common.planning.network_plan import NetworkPlan
from common.planning.settings import as_sections, cannot_be_built
from simulation.config import Experiment
from simulation.plan_report import told_put_aside
from simulation.pool import Workers, in_turn
from simulation.prepare import data_section
from simulation.progress import Progress


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A dataset's fingerprint, and how many of its cases could not be used, by reason."""

    fingerprint: Fingerprint
    quarantined: Mapping[str, int]


def survey_experiment(experiment: Experiment, progress: Progress) -> Surveyed:
    """Look at all cases of an experiment, whoever will train on them; phantoms are made for it and thrown away.

    Raises:
        DataError: no usable case.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fedmets-plan-") as scratch,
        Workers(experiment.runtime.workers, experiment.training.threads) as workers,
    ):
        section = data_section(experiment, Path(scratch), workers, progress)
        return _survey(section, experiment, workers, progress)


def fits_experiment(plan: NetworkPlan, experiment: Experiment) -> Experiment:
    """The experiment with the plan's settings in place of its own.

    Raises:
        ConfigError: a setting that the experiment has does not go with the plan's, or its network cannot be built.
    """
    fault = cannot_be_built(plan)
    if fault is not None:
        raise ConfigError(f"{fault}; plan with other data, or choose a network by hand")
    values = experiment.model_dump(mode="json")
    for section, settings in as_sections(plan).items():
        values[section].update(settings)
    planned = validate(Experiment, values, "the plan's settings in this file")
    check_patch_size(planned.model, planned.training.patch_size)
    new_network(planned)
    return planned


def _survey(section: DataSection, experiment: Experiment, workers: Workers, progress: Progress) -> Surveyed:
    listing = list_cases(section)
    recipe = recipe_for(section, experiment)
    bad = list(listing.quarantined)
    for one in bad:
        if one.reason is not CaseReason.EXCLUDED:
            progress.note(put_aside(one))
    rows: list[CaseFingerprint] = []
    progress.stage("fingerprint", len(listing.cases))
    for case, row in in_turn(workers, case_fingerprint, listing.cases, lambda case: (case, recipe)):
        if isinstance(row, Quarantined):
            bad.append(row)
            progress.note(put_aside(row))
        else:
            rows.append(row)
        progress.advance(case.exam)
    if not rows:
        raise DataError(
            f"{section.root}: no usable case found, {told_put_aside(counts_by_reason(bad))}; check [data]"
        )
    return Surveyed(summarise(rows), counts_by_reason(bad))
