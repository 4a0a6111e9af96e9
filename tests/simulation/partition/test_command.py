from pathlib import Path

from client.data.case import Case, Listing, Quarantined
from common.errors import CaseReason
from simulation.partition.command import find_faults


def _case(exam: str, *sequences: str, label: bool = True) -> Case:
    files = {name: Path(f"{name}.nii.gz") for name in sequences}
    return Case(exam, exam, files, Path("seg.nii.gz") if label else None)


def test_faults_are_seen_before_anything_is_trained() -> None:
    listing = Listing(
        cases=(
            _case("good", "t1c", "flair"),
            _case("no-flair", "t1c"),
            _case("no-label", "t1c", "flair", label=False),
            _case("odd-label", "t1c", "flair"),
        ),
        quarantined=(
            Quarantined("p", "two-files", CaseReason.AMBIGUOUS_FILE, "two files"),
            Quarantined("p", "left-out", CaseReason.EXCLUDED, "by the dataset"),
        ),
    )
    faults = find_faults(listing, ("t1c", "flair"), {"good": (12.0,), "no-flair": (), "no-label": ()})
    assert sorted(faults) == ["no-flair", "no-label", "odd-label", "two-files"]
    assert faults["no-flair"] == "missing-sequence: flair"
    assert "label_map" in faults["odd-label"]
