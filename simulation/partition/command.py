"""`fedmets-sim partition`: the table, a picture and, on request, a folder per site."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.data.adapters.build import label_rule, list_cases
from client.data.case import Listing
from client.data.channels import channels_for
from common.durable import write_durably
from common.errors import CaseReason
from common.plan import Terms
from simulation.config import Experiment
from simulation.folder import claim_folder
from simulation.partition.export import export_sites
from simulation.partition.lesions import read_lesion_volumes_mm3
from simulation.partition.picture import draw_partition
from simulation.partition.table import write_table
from simulation.partition.unlikeness import unlikeness
from simulation.pool import Workers
from simulation.prepare import data_section, divide
from simulation.progress import Progress

TABLE_FILE, PICTURE_FILE, NUMBERS_FILE, SITES_FOLDER = "sites.csv", "sites.png", "sites.json", "sites"


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """What was written, for a person and for a program."""

    text: str
    numbers: dict[str, Any]


def partition_command(experiment: Experiment, out: Path, folders: bool, progress: Progress) -> PartitionSummary:
    """Partition an experiment's cases and write the result to `out`.

    Raises:
        UserError: the data, the table or the folder cannot serve.
    """
    out = out.resolve()
    with claim_folder(out, experiment):
        with Workers(experiment.runtime.workers, experiment.training.threads) as workers:
            section = data_section(experiment, out, workers, progress)
        listing = list_cases(section)
        rule = label_rule(section, experiment.labels)
        partition = divide(experiment, section, listing, rule)
        for note in partition.notes:
            progress.note(note)
        volumes = read_lesion_volumes_mm3(listing.cases, rule)
        faults = find_faults(listing, experiment, volumes)
        for exam, fault in faults.items():
            progress.note(f"case {exam} will be put aside: {fault}")
        write_table(out / TABLE_FILE, partition.sites)
        draw_partition(out / PICTURE_FILE, partition, volumes)
        numbers = {
            **unlikeness(partition, volumes).to_dict(),
            "left_out": partition.left_out,
            "faults": faults,
            "notes": list(partition.notes),
        }
        if folders:
            shutil.rmtree(out / SITES_FOLDER, ignore_errors=True)  # of an earlier call: links, made anew
            numbers["files"] = export_sites(partition, section.root, out / SITES_FOLDER, section.spreadsheet)
        write_durably(out / NUMBERS_FILE, json.dumps(numbers, indent=2).encode())
    return PartitionSummary(_text(numbers, out, folders), numbers)


def find_faults(listing: Listing, terms: Terms, volumes_mm3: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """What can be seen to be wrong with a case without preprocessing it, by exam.

    Only names of required sequences and the label are looked at; `fedmets-sim run` finds the rest.
    """
    faults = {
        case.exam: str(case.reason) for case in listing.quarantined if case.reason is not CaseReason.EXCLUDED
    }
    for case in listing.cases:
        missing = channels_for(case.sequences.keys(), terms).lacking
        if missing:
            faults[case.exam] = f"{CaseReason.MISSING_SEQUENCE}: {', '.join(missing)}"
        elif case.label is None:
            faults[case.exam] = str(CaseReason.MISSING_LABEL)
        elif case.exam not in volumes_mm3:
            faults[case.exam] = "its label cannot be read, or holds a value that label_map and ignore_labels lack"
    return dict(sorted(faults.items()))


def _text(numbers: dict[str, Any], out: Path, folders: bool) -> str:
    rows = [
        f"  {size['site']:<24} {size['patients']:>4} patients {size['exams']:>4} exams"
        f" {size['lesions']:>5} lesions"
        for size in numbers["sizes"]
    ]
    places = [TABLE_FILE, PICTURE_FILE, NUMBERS_FILE] + ([f"{SITES_FOLDER}/"] if folders else [])
    faulty = (
        f"{len(numbers['faults'])} cases will be put aside" if numbers["faults"] else "no faulty case seen so far"
    )
    return "\n".join(
        [*rows, f"{numbers['left_out']} cases left out", faulty, f"written to {out}: {', '.join(places)}"]
    )
