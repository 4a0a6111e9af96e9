import json

from common.planning.network_plan import plan_network
from simulation.plan_report import as_numbers, as_text
from tests.common.planning.cohorts import FOUR_SEQUENCES, UCSF_BMSR

PLAN = plan_network(UCSF_BMSR, FOUR_SEQUENCES)
QUARANTINED = {"excluded-by-dataset": 3, "not-3d": 2, "no-brain-mask": 1}


def test_a_person_reads_fingerprint_settings_and_reasons() -> None:
    lines = as_text(PLAN, QUARANTINED).splitlines()
    assert lines[0] == (
        "fingerprint: 324 cases of 324 patients, 3 put aside (2 not-3d, 1 no-brain-mask); axes are x, y, z"
    )
    assert "  patch_size    [160, 192, 80]" in lines
    assert "  batch_size    2" in lines
    assert lines.index("why") < lines.index("where fedmets does otherwise than nnU-Net")
    assert any("30.8 million weights" in line and "566 billion multiply-adds" in line for line in lines)
    assert lines[-1] == "research software, not a medical device"


def test_a_program_reads_the_same_numbers() -> None:
    numbers = json.loads(json.dumps(as_numbers(PLAN, QUARANTINED), allow_nan=False))
    assert numbers["quarantine"] == QUARANTINED
    assert (numbers["planner"], numbers["memory_gb"]) == ("unet", 8.0)
    assert numbers["median_shape"] == [215.0, 227.0, 100.5]
    assert numbers["settings"]["training"] == {"batch_size": 2, "patch_size": [160, 192, 80]}
    assert numbers["low_resolution"]["wanted"] is False
    assert numbers["size"]["features"] == 533_126_400
    assert numbers["batch"] == {"by_memory": 2, "by_dataset": 32}
    assert set(numbers["why"]) >= {"spacing", "patch_size", "network", "batch_size", "normalisation"}
