import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from common.cli import run_app
from common.errors import UserError
from common.metrics.scores import CaseScores
from simulation.cli import app
from simulation.comparison import ComparedArm, compare_runs, read_arm
from tests.common.statistics.cohort import Exam, case, cohort


def write(folder: Path, scores: tuple[CaseScores, ...], arm: str = "federated") -> Path:
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    record = {"model_sha256": "m", "test_cases": "t", "cases": [score.to_dict() for score in scores]}
    (folder / "scores" / f"{arm}.json").write_text(json.dumps(record))
    return folder


def better(scores: tuple[CaseScores, ...], women: int, gain: float) -> tuple[CaseScores, ...]:
    """The first `women` gain more, everyone a little, unequally."""
    return tuple(
        replace(score, dice=score.dice + 0.001 * number + (gain if number < women else 0.0))
        for number, score in enumerate(scores)
    )


def test_measures_are_paired_over_patients() -> None:
    old = cohort(0, 20)
    new = better(old, 0, 0.0)
    found = compare_runs(ComparedArm(Path("a"), "federated", new), ComparedArm(Path("b"), "pooled", old), {})
    dice, sensitivity = found["measures"]["dice"], found["measures"]["lesion_sensitivity"]
    assert dice["difference"]["estimate"] == pytest.approx(0.001 * 9.5)
    p = stats.wilcoxon([one.dice - two.dice for one, two in zip(new, old, strict=True)][1:]).pvalue
    assert dice["p"] == pytest.approx(p)
    assert dice["p_holm"] == pytest.approx(3 * p)  # three measures were tested
    assert (sensitivity["p"], sensitivity["difference"]["high"]) == (1.0, 0.0)
    assert found["second"] == {"folder": "b", "arm": "pooled"}


def test_where_the_change_differs() -> None:
    old = cohort(1, 30)
    new = better(old, 12, 0.2)
    traits = {("north", f"p{n:03d}A"): Exam(sex="F" if n < 12 else "M") for n in range(30)}
    found = compare_runs(ComparedArm(Path("a"), "x", new), ComparedArm(Path("b"), "x", old), traits)
    female, male = found["groups"]["sex"]
    assert (female["patients"], male["patients"]) == (12, 18)
    assert female["difference"]["estimate"] == pytest.approx(0.2 + 0.0055)
    assert female["superiority"] == 1.0
    assert female["p"] < 1e-4
    assert male["p"] is None
    assert [row["suppressed"] for row in found["groups"]["site"]] == [False]


def test_other_patients_are_refused() -> None:
    ours = ComparedArm(Path("a"), "x", cohort(0, 6))
    with pytest.raises(UserError, match="exam p005A of site north was judged in one of a and b only"):
        compare_runs(ours, ComparedArm(Path("b"), "x", cohort(0, 5)), {})
    other = (*cohort(0, 5), case("p005", lesions=20))
    with pytest.raises(UserError, match="exam p005A of site north has other reference lesions in a than in b"):
        compare_runs(ours, ComparedArm(Path("b"), "x", other), {})


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = cohort(2, 12)
    first, second = write(tmp_path / "a", better(old, 6, 0.1)), write(tmp_path / "b", old)
    assert run_app(app, "fedmets-sim", ["compare", str(first), str(second), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measures"]["dice"]["difference"]["estimate"] == pytest.approx(0.05 + 0.0055)
    assert any("groups are by site and burden alone" in note for note in found["notes"])
    assert run_app(app, "fedmets-sim", ["compare", str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert "A - B +0.056" in out
    assert "research software, not a medical device" in out


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    write(write(tmp_path, cohort(0, 3)), cohort(0, 3), "pooled")
    with pytest.raises(UserError, match=r"local-x.json: no such scores \(there are: federated, pooled\)"):
        read_arm(tmp_path, "local-x")
    (tmp_path / "scores" / "federated.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_arm(tmp_path, "federated")
