"""What the guides list is all that there is: codes, fields that travel, settings; and what they name is there."""

import os
import re
import stat
import tomllib
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from client import supernode
from client.remainder import RemainderStore
from client.server_trust import follow_published
from client.site_config import SiteConfig
from common.errors import CaseReason, FailureCode, RefusalCode, TrustCode, UpdateCode
from common.identity import Signature
from common.plan import Plan
from common.protocol import CaseSums, LesionCounts, TrainReport
from common.wire import Payload, PlanBody, ReleaseBody, ReplyBody, StandingBody, TaskBody
from server.plans import read_plan
from server.rotation import published_rotations, rotate_server
from tests.end_to_end.modes import current_umask, not_as_told
from tests.server.builders import make_weights
from tests.trust import DAY_0
from tests.wired import wire

ROOT = Path(__file__).parents[2]
SITE_GUIDE = (ROOT / "docs" / "site-guide.md").read_text(encoding="utf-8")
REPORT = tuple(field.name for field in fields(TrainReport))
SUMS = tuple(field.name for field in fields(CaseSums))


def between(begin: str, end: str) -> str:
    return SITE_GUIDE.partition(begin)[2].partition(end)[0]


def first_cells(text: str) -> set[str]:
    """What stands between back quotes in the first column of the text's tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize(
    ("codes", "begin", "end"),
    [
        (RefusalCode, "**The site refused", "**The site's work"),
        (FailureCode, "**The site's work", "**A signature"),
        (TrustCode, "**A signature", "**The consortium did not"),
        (UpdateCode, "**The consortium did not", "**A case is put aside"),
        (CaseReason, "**A case is put aside", "\n## "),
    ],
)
def test_every_code_stands_in_its_table_and_no_other(codes: type[StrEnum], begin: str, end: str) -> None:
    assert first_cells(between(begin, end)) == {str(code) for code in codes}


def test_every_word_on_the_connection_stands_in_the_guide() -> None:
    told = between("### What `status`", "### Codes")
    logs = ["", supernode._STARTING, *(f"{supernode._STARTING}\n{sign}" for sign, _ in supernode._REASONS)]
    said = [supernode.standing_in(log).words for log in logs[2:]]
    said.append(supernode.standing_in(f"{supernode._STARTING}\nConnection attempt failed").words)
    said.append(supernode.standing_in(f"{supernode._STARTING}\nTraceback").words)
    said.append(supernode.standing_in(f"{supernode._STARTING}\n{supernode._DEAD_THREAD}").words)
    assert [words for words in said if re.split("[:;]", words)[0] not in told] == []


@pytest.mark.parametrize(
    ("fields", "begin", "end"),
    [
        (tuple(ReplyBody.model_fields), "`ReplyBody`)", "**The report**"),
        (REPORT, "`TrainReport`)", "**The sums"),
        (SUMS, "`CaseSums`)", "**The update itself"),
        (tuple(field.name for field in fields(LesionCounts)), "`CaseSums`)", "**The update itself"),
        (tuple(StandingBody.model_fields), "`StandingBody`)", "**The signature"),
        (tuple(Payload.model_fields), "`ReplyBody`)", "**The report**"),
        (tuple(Signature.model_fields), "**The signature", "**What Flower adds"),
    ],
)
def test_every_field_that_leaves_is_named(fields: tuple[str, ...], begin: str, end: str) -> None:
    text = between(begin, end)
    assert [field for field in fields if f"`{field}`" not in text] == []


@pytest.mark.parametrize("body", [PlanBody, TaskBody, ReleaseBody])
def test_every_field_that_comes_in_is_named(body: type[BaseModel]) -> None:
    (row,) = [line for line in SITE_GUIDE.splitlines() if f"(`{body.__name__}`)" in line]
    known = {"schema_version", "kind"}
    assert [field for field in body.model_fields if field not in known and f"`{field}`" not in row] == []


def test_every_setting_of_a_site_is_named() -> None:
    told = first_cells(between("## site.toml", "## The check"))
    settings = {name for name in SiteConfig.model_fields if name != "folders"} | {"folders.cache"}
    assert told == settings


def test_a_site_lies_as_the_table_says_and_what_does_not_is_found(tmp_path: Path) -> None:
    """The whole of a site, daemon's files included, is held against the table at the end of test_guides.py."""
    wired = wire(tmp_path)
    site = wired.site("north").path
    rotate_server(wired.lab.server, DAY_0)
    follow_published(wired.site("north"), published_rotations(wired.lab.server), DAY_0)
    before = os.umask(0o077)  # the worker's
    try:
        RemainderStore(site / "plans" / wired.kept.body.plan_id).save(1, make_weights())
    finally:
        os.umask(before)
    assert (site / "rotations.json").is_file() and len(list(site.glob("plans/*/remainder-*"))) == 1
    assert (site / "plans").is_dir() and not_as_told(site, current_umask()) == []
    assert stat.S_IMODE((site / "site.toml").stat().st_mode) == 0o644 & ~current_umask()  # the template
    (site / "audit.jsonl").chmod(0o640)
    (site / "plans").chmod(0o750)
    (site / "stray.txt").touch()
    wrong = not_as_told(site, current_umask())
    assert {"audit.jsonl: 640", "plans/: 750", "stray.txt: no row"} == set(wrong)


def test_the_example_plan_states_every_setting_and_holds() -> None:
    path = ROOT / "configs" / "plan.toml"
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    schema = Plan(name="n", sequences=("t1c",), sites=("a",)).model_dump()
    left_out = {f"model.{name}" for name in ("dropout", "kernel_sizes", "strides")}  # the network's own
    assert names(stated) == names(schema) - {"schema_version"} - left_out
    assert all(name.removeprefix("model.") in path.read_text(encoding="utf-8") for name in left_out)
    assert read_plan(path).sites == ("hospital-a", "hospital-b", "hospital-c")


def names(table: dict[str, Any], above: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in table.items():
        found |= names(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}"}
    return found


@pytest.mark.parametrize("page", ["threat-model.md", "site-guide.md", "operations.md"])
def test_code_and_tests_that_a_page_names_are_there(page: str) -> None:
    """`path/file.py::name`: the file, and in it the name."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for place, name in re.findall(r"`((?:client|common|server|tests)/[\w/]+\.py)(?:::(\w+))?`", text):
        assert (ROOT / place).is_file(), f"{page} names {place}"
        held = re.search(rf"(?:def|class) {name}\b", (ROOT / place).read_text(encoding="utf-8")) if name else True
        assert held, f"{page} names {place}::{name}"
