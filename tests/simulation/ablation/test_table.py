from pathlib import Path
from typing import Any

import pytest

from common.errors import OutputError
from common.metrics.intervals import STATISTICS, Interval
from server.records import RunStatus
from simulation.ablation.config import Ablation, load_ablation
from simulation.ablation.effects import Scores
from simulation.ablation.figure import draw_forest
from simulation.ablation.output import as_markdown, headline, write_table
from simulation.ablation.page import ablation_page
from simulation.ablation.results import RowResult, read_row, write_row
from simulation.ablation.table import NOTHING, UNKNOWN, Failed, Outcomes, build_table, direction_of, verdict_of
from tests.simulation.ablation.test_config import MIRROR, SLOW, config
from tests.simulation.ablation.test_effects import model

ROWS = (
    "[ablation]\nbase_seeds = 2\nseeds = 2\n"
    + SLOW
    + MIRROR
    + '[[rows]]\nname = "both"\nkind = "ensemble"\n'
    + '[[rows]]\nname = "slower"\nagainst = "Slow, slow"\nset = { "training.learning_rate" = 0.0005 }\n'
)


@pytest.fixture
def ablation(tmp_path: Path) -> Ablation:
    return load_ablation(config(tmp_path, ROWS))


def result(*models: Scores) -> RowResult:
    return RowResult(RunStatus.COMPLETED, models, 60.0)


def rows_of(table: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row for row in table["rows"]}


def effects(**known: tuple[float, float, float]) -> dict[str, Interval]:
    nothing = Interval(0.0, -1.0, 1.0, 9)
    return {name: Interval(*known[name], 9) if name in known else nothing for name in STATISTICS}


def test_the_verdict_follows_from_the_intervals_alone() -> None:
    assert verdict_of(effects()) == NOTHING
    assert verdict_of(effects(dice=(0.9, 0.0, 1.8))) == NOTHING  # an end at 0 holds it
    assert verdict_of(effects(dice=(0.02, 0.01, 0.03))) == "better: Dice"
    mixed = effects(sensitivity_under_27=(0.1, 0.05, 0.2), fp_per_scan=(0.5, 0.1, 0.9), dice=(-0.1, -0.2, -0.05))
    assert verdict_of(mixed) == "better: found under 27 mm³; worse: Dice, false positives per scan"
    assert verdict_of({name: Interval(0.1, None, None, 1) for name in STATISTICS}) == UNKNOWN
    assert direction_of("fp_per_scan", Interval(-0.5, -0.9, -0.1, 9)) == 1


def test_rows_are_compared_with_the_row_they_name(ablation: Ablation) -> None:
    base = result(model(0.5, 0.5, 0.5), model(0.52, 0.52, 0.52))
    outcomes = {
        "base": base,
        "Slow, slow": result(model(0.7, 0.7, 0.7), model(0.72, 0.72, 0.72)),
        "mirror": result(model(0.51, 0.51, 0.51), model(0.53, 0.53, 0.53)),
        "both": result(model(0.6, 0.6, 0.6)),
        "slower": result(model(0.69, 0.69, 0.69), model(0.71, 0.71, 0.71)),
    }
    table = build_table(ablation, outcomes)
    rows = rows_of(table)
    changes = {name: row["effects"]["dice"]["estimate"] for name, row in rows.items() if row["effects"]}
    expected = {"Slow, slow": 0.2, "mirror": 0.01, "both": 0.09, "slower": -0.01}
    assert changes == pytest.approx(expected)
    assert table["noise"]["dice"] == {"sd": pytest.approx(0.02 / 2**0.5), "degrees_of_freedom": 3}
    half = rows["both"]["effects"]["dice"]["high"] - 0.09
    assert half == pytest.approx(3.182446 * 0.02 / 2**0.5)  # two members and two of the base, t of 3 degrees
    assert rows["mirror"]["verdict"] == "better: Dice"  # by the same 0.01 with either model
    assert rows["slower"]["verdict"] == NOTHING
    assert f"slower      {NOTHING} (against Slow, slow)" in headline(table, Path())
    assert rows["base"]["effects"] is None
    assert (table["patients"], table["lesions"]) == (3, {"under_27": 3, "27_to_275": 0, "over_275": 0})
    assert table["by_chance"] == pytest.approx(0.05 * table["comparisons"], abs=0.06)
    assert table["seconds"] == 300.0


def test_what_did_not_come_to_its_end_is_said(ablation: Ablation, tmp_path: Path) -> None:
    others = (model(0.5, 0.5), model(0.5, 0.5))
    outcomes: Outcomes = {"base": result(*others), "Slow, slow": Failed("no room"), "slower": result(*others)}
    table = build_table(ablation, outcomes)
    verdicts = {name: row["verdict"] for name, row in rows_of(table).items()}
    assert verdicts == {
        "base": "what the others are compared with",
        "Slow, slow": "failed: no room",
        "mirror": "not run yet",
        "both": "not run yet",
        "slower": "nothing to compare with: 'Slow, slow' has no scores",
    }
    assert "Slow, slow  failed: no room" in headline(table, tmp_path)
    fewer = {"base": result(*others), "Slow, slow": result(model(0.5), model(0.5))}
    verdict = rows_of(build_table(ablation, fewer))["Slow, slow"]["verdict"]
    assert verdict.startswith("cannot be compared: patient p1 of site north was judged in one arm only")


def test_a_row_without_an_interval_is_not_said_to_do_nothing(ablation: Ablation) -> None:
    once = {"base": result(model(0.5, 0.6)), "Slow, slow": result(model(0.7, 0.7))}
    table = build_table(ablation, once)
    assert rows_of(table)["Slow, slow"]["verdict"] == UNKNOWN
    assert (
        "Of 4 rows 0 gained in some measure, 0 lost in some, and 0 did nothing that can be told here. 3 did not "
        "run or failed. 1 cannot be judged."
    ) in ablation_page(table, "")


def test_the_table_is_written_for_people_and_programs(ablation: Ablation, tmp_path: Path) -> None:
    base = result(model(0.5, 0.5, 0.6), model(0.52, 0.52, 0.4))
    slow = result(model(0.7, 0.7, 0.8), model(0.74, 0.72, 0.7))
    table = build_table(ablation, {"base": base, "Slow, slow": slow})
    write_table(tmp_path, table, "name = '<tiny>'")
    page = (tmp_path / "ablation.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "name = &#x27;&lt;tiny&gt;&#x27;" in page
    assert "Research software, not a medical device" in page
    text = as_markdown(table)
    line = next(line for line in text.splitlines() if line.startswith("| Slow, slow | +"))
    assert line.startswith("| Slow, slow | +0.220 (")
    assert "| Slow, slow | 0.727 | 1.000 |" in text
    assert draw_forest([row for row in table["rows"] if not row["effects"]], "x") == ""


def test_a_finished_row_is_read_back_unless_its_settings_changed(ablation: Ablation, tmp_path: Path) -> None:
    slow = ablation.named("Slow, slow")
    (tmp_path / "rows" / "slow-slow").mkdir(parents=True)
    assert read_row(tmp_path, slow) is None
    found = RowResult(RunStatus.PARTIAL, (model(0.5, 0.7), model(0.6)), 61.5, ("a note",))
    write_row(tmp_path, slow, found)
    assert read_row(tmp_path, slow) == found
    changed = load_ablation(config(tmp_path, ROWS.replace("0.001", "0.002"))).named("Slow, slow")
    with pytest.raises(OutputError, match="holds row 'Slow, slow' with other settings; remove it"):
        read_row(tmp_path, changed)
    more_seeds = load_ablation(config(tmp_path, ROWS.replace("\nseeds = 2", "\nseeds = 3"))).named("Slow, slow")
    assert read_row(tmp_path, more_seeds) is None  # its trainings are, seed by seed, and the third is added
    (tmp_path / "rows" / "slow-slow" / "row.json").write_text("{}")
    assert read_row(tmp_path, slow) is None
