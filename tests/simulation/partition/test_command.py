import io
from pathlib import Path

from client.data.case import Case, Listing, Quarantined
from common.errors import CaseReason
from common.plan import Terms
from simulation.config import load_experiment
from simulation.partition.command import find_faults, partition_command
from simulation.progress import PlainProgress
from tests.simulation.test_prepare import CONFIG, write_case


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
    volumes = {"good": (12.0,), "no-flair": (), "no-label": ()}
    terms = Terms(name="small", sequences=("t1c", "flair"))
    faults = find_faults(listing, terms, volumes)
    assert sorted(faults) == ["no-flair", "no-label", "odd-label", "two-files"]
    assert faults["no-flair"] == "missing-sequence: flair"
    assert "label_map" in faults["odd-label"]
    optional = Terms(name="small", sequences=("t1c", "flair"), optional_sequences=("flair",))
    assert "missing-sequence" not in find_faults(listing, optional, volumes).get("no-flair", "")


def test_folders_can_be_made_again_and_hold_every_case_once(tmp_path: Path) -> None:
    for number in range(4):
        write_case(tmp_path / "cases", f"p{number}", constant=False)
    config = tmp_path / "small.toml"
    config.write_text(CONFIG)
    for _ in range(2):
        summary = partition_command(load_experiment(config), tmp_path / "out", True, PlainProgress(io.StringIO()))
    exported = sorted(path.parent.name for path in (tmp_path / "out" / "sites").rglob("t1c.nii.gz"))
    assert exported == ["p0", "p1", "p2", "p3"]
    assert summary.numbers["faults"] == {}
    rows = (tmp_path / "out" / "sites.csv").read_text().splitlines()
    assert rows[0] == "Partition_ID,Subject_ID"
    assert len(rows) == 5
