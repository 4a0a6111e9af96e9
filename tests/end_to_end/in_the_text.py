"""The commands that stand in the guides' sentences, typed in the federation that their blocks make."""

import csv
import re
import stat
from pathlib import Path

from tests.end_to_end.guided import CONSORTIUM, HOSPITALS, Guided, mail
from tests.end_to_end.shown import shown

DIR, SITE_DIR = "bmfed", "site"
FIRST = HOSPITALS[0]


def close_files(lab: Guided) -> None:
    """What each hospital does with a password in site.toml, and what one does for `supernode_user`."""
    for who in HOSPITALS:
        lab.type(shown("site-guide.md", "chmod 600 SITE_DIR/site.toml", {"SITE_DIR": SITE_DIR}), who)
        assert mode(lab.site(who) / "site.toml") == 0o600
    assert mode(lab.site(FIRST)) == 0o700
    lab.type(shown("site-guide.md", "chmod o+x SITE_DIR", {"SITE_DIR": SITE_DIR}), FIRST)
    assert mode(lab.site(FIRST)) == 0o701


def approve_from_a_file(lab: Guided) -> None:
    """The plan by mail, at a hospital that approves it a second time."""
    (signed,) = lab.root.glob(f"{CONSORTIUM}/{DIR}/plans/*/plan.json")
    mail(signed, lab.place(FIRST) / "plan.json")
    command = "fedmets-site approve SITE_DIR plan.json"
    lab.type(shown("site-guide.md", command, {"SITE_DIR": SITE_DIR}), FIRST)
    assert f"plan {signed.parent.name[:12]} is approved" in said(lab, FIRST)


def read_every_case(lab: Guided) -> None:
    """The check without a limit in time."""
    lab.type(shown("site-guide.md", "fedmets-site check SITE_DIR --all", {"SITE_DIR": SITE_DIR}), FIRST)


def look_at_the_aggregator(lab: Guided) -> None:
    """What the operations guide says under "Where to look" and of a damaged commit."""
    lab.type(shown("operations.md", "fedmets-server status DIR --json", {"DIR": DIR}), CONSORTIUM)
    assert f'"{lab.variables["PLAN"]}"' in said(lab, CONSORTIUM)
    verify = "fedmets-server verify DIR/runs/ID"
    lab.type(shown("operations.md", verify, {"DIR": DIR, "ID": "$PLAN"}), CONSORTIUM)


def read_flowers_log(lab: Guided, words: str) -> None:
    """The run's own lines, under the number that the last `start` or `resume` printed."""
    number = re.findall(r"^started, Flower's run (\d+)$", "\n".join(lab.said.values()), re.MULTILINE)[-1]
    command = "FLWR_HOME=DIR/flower flwr log NUMBER fedmets --show"
    lab.type(shown("operations.md", command, {"DIR": DIR, "NUMBER": number}), CONSORTIUM)
    assert words in said(lab, CONSORTIUM)


def use_the_model(lab: Guided) -> None:
    """A fetched model on one exam of the house, its mask held against the readers', and two exams compared."""
    (model,) = lab.site(FIRST).glob("models/*")
    exam = sorted((lab.root / "cohort" / "sites").glob("north/*/*/*"))[0]
    (t1c,), (flair,), (label,) = (list(exam.glob(f"*_{end}.nii.gz")) for end in ("T1post", "FLAIR", "seg"))
    segment = "fedmets-site segment MODEL_DIR --image t1c=PATH --out mask.nii.gz"
    places = {"MODEL_DIR": str(model), "t1c=PATH": f"t1c={t1c} --image flair={flair}"}
    lab.type(f"{shown('site-guide.md', segment, places)} --report lesions.csv", FIRST)
    with (lab.place(FIRST) / "lesions.csv").open(encoding="utf-8") as report:
        assert "volume_mm3" in (csv.DictReader(report).fieldnames or ())
    pair = {"PREDICTION": "mask.nii.gz", "REFERENCE": str(label)}
    lab.type(shown("site-guide.md", "fedmets-site score PREDICTION REFERENCE", pair), FIRST)
    assert "lesionwise_dice" in said(lab, FIRST)
    exams = {"FIRST": str(label), "SECOND": str(label)}
    lab.type(shown("site-guide.md", "fedmets-site compare-exams FIRST SECOND", exams), FIRST)
    assert "RANO-BM: stable disease" in said(lab, FIRST)


def said(lab: Guided, who: str) -> str:
    """What the last command at a place printed."""
    return [words for command, words in lab.said.items() if command.startswith(f"{who}: ")][-1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
