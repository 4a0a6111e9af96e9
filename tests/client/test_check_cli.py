"""`fedmets-site check` as it is typed: joined and not, with a gateway and without, and never for long."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client import check_cli, preflight
from client.cli import app
from client.joining import compare_with, join_federation
from client.requesting import request_enrollment
from client.site_folder import SiteFolder
from common.cli import run_app
from common.durable import write_durably
from common.expiry import Finding
from common.identity import Domain, IdentityKey
from common.plan import Plan
from common.wire import PlanBody, SignedBody
from server.enrollment import enroll_site
from server.provisioning import ServerFolder, init_federation
from tests.client.gateway_stand import Stand, gateway
from tests.client.test_preparing import PLAN, write_case

NOW = datetime.now(UTC).replace(microsecond=0)
PARTS = ["keys and certificates", "data", "machine", "training", "network"]
DATA = """
device = "cpu"
[data]
adapter = "nifti_folders"
root = "cases"
sequences = { t1c = "t1c.nii.gz" }
label = "seg.nii.gz"
"""


@pytest.fixture(autouse=True)
def no_trial(monkeypatch: pytest.MonkeyPatch) -> list[Plan | None]:
    """The trial process is tested elsewhere; here it is fast, and says which plan it was given."""
    asked: list[Plan | None] = []

    def tried(_: object, plan: Plan | None, *__: object) -> list[Finding]:
        asked.append(plan)
        return [Finding("ok", what, "tested elsewhere") for what in ("device", "main memory", "training speed")]

    monkeypatch.setattr(preflight, "check_compute", tried)
    monkeypatch.setattr(preflight, "TrialProcess", contextlib.nullcontext)
    return asked


def new_site(folder: Path) -> SiteFolder:
    """A site that has asked, with three cases."""
    site = SiteFolder(folder / "north")
    request_enrollment(site, "north", NOW)
    (site.path / "site.toml").write_text(DATA)
    for number in range(3):
        write_case(site.path / "cases", f"p{number}", seed=number)
    return site


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[tuple[SiteFolder, Stand]]:
    """A joined site and its gateway."""
    site = new_site(tmp_path)

    def found(port: int) -> ServerFolder:
        server = init_federation(tmp_path / "fed", "BMFED", ("localhost",), port, NOW)
        enroll_site(server, site.request_file, tmp_path / "kit", NOW)
        join_federation(site, tmp_path / "kit", compare_with(server.authority().fingerprint), NOW)
        return server

    with gateway(found) as stand:
        yield site, stand


def check(capsys: pytest.CaptureFixture[str], site: SiteFolder, *more: str) -> tuple[int, str, str]:
    code = run_app(app, "fedmets-site", ["check", str(site.path), *more])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def levels(out: str) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  ")]
    return {rest.partition(":")[0]: level for level, rest in lines}


def example() -> str:
    """The output that docs/enrolment.md shows."""
    guide = (Path(__file__).parents[2] / "docs" / "enrolment.md").read_text(encoding="utf-8")
    return guide.partition("```text\n")[2].partition("```")[0]


def test_a_site_that_is_ready(joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(capsys, joined[0])
    assert (code, set(levels(out).values())) == (0, {"ok"}), out
    assert [line for line in out.splitlines() if not line.startswith(" ")] == PARTS
    assert [line.partition(":")[0] for line in err.splitlines()] == PARTS
    assert levels(out) == levels(example())


def test_the_same_for_a_program(joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str]) -> None:
    joined[1].status = 503
    code, out, _ = check(capsys, joined[0], "--json")
    result = json.loads(out)
    assert (code, result["schema"], result["level"], result["plan"]) == (1, 1, "fail", None)
    failed = [finding for finding in result["findings"] if finding["level"] == "fail"]
    assert [(one["part"], one["what"]) for one in failed] == [("network", "gateway")]
    assert sorted(failed[0]) == ["advice", "finding", "level", "part", "what"]


def test_before_joining_the_data_are_checked_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = new_site(tmp_path)
    code, out, err = check(capsys, site)
    assert code == 1
    found = levels(out)
    assert [found[what] for what in ("federation", "cases", "label values", "route")] == [
        "fail",
        "ok",
        "ok",
        "warn",
    ]
    assert "then fedmets-site join with the kit that comes back" in out
    assert "does not hold: federation; the findings above say what to do" in err


def test_an_unfilled_site_toml_and_a_wide_key(
    joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str]
) -> None:
    site, _ = joined
    (site.path / "site.toml").write_text('device = "cpu"\n')
    site.joined().node_key.chmod(0o644)
    code, out, err = check(capsys, site)
    assert code == 1
    assert "  fail  site.toml: 'data' is missing; fill in the section [data]" in out
    assert "chmod 600" in out
    assert "does not hold: private keys, site.toml" in err


def test_a_folder_that_is_not_there_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = check(capsys, SiteFolder(tmp_path / "none"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "fedmets-site request" in err


def test_the_plan_that_lies_here_is_the_measure(
    joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str], no_trial: list[Plan | None]
) -> None:
    site, _ = joined
    body = PlanBody(
        federation="BMFED",
        plan=PLAN.model_copy(update={"sequences": ("t1c", "flair")}),
        bundle_sha256="0" * 64,
        proposed_at=NOW,
    )
    signature = IdentityKey.generate().sign(Domain.PLAN, body.to_json().encode())
    place = site.path / "plans" / body.plan_id
    place.mkdir(parents=True)
    write_durably(place / "plan.json", SignedBody(body=body.to_json(), signature=signature).to_json().encode())
    code, out, _ = check(capsys, site, "--json")
    assert (code, json.loads(out)["plan"]) == (1, body.plan_id)
    assert "3 missing-sequence: 100.0%" in out
    assert no_trial == [body.plan]


def test_what_hangs_costs_its_own_part_alone(
    joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()
    monkeypatch.setattr(preflight, "check_data", lambda *_: end.wait(30.0))
    monkeypatch.setattr(preflight, "_DATA_S", -1.5)
    try:
        code, out, _ = check(capsys, joined[0])
    finally:
        end.set()
    assert code == 1
    assert "  fail  data: not done in the time it may take" in out and "check --all waits" in out
    assert {levels(out)[what] for what in ("versions", "training speed", "clock")} == {"ok"}


def test_with_all_the_data_have_no_limit_in_time(
    joined: tuple[SiteFolder, Stand], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_DATA_S", 0.0)
    monkeypatch.setattr(check_cli, "_TELL_EVERY_S", 0.0)
    code, out, _ = check(capsys, joined[0])
    assert (code, levels(out)["cases"], levels(out)["voxels"]) == (0, "warn", "warn")
    assert "files of only 0 opened within" in out
    code, out, err = check(capsys, joined[0], "--all")
    assert (code, set(levels(out).values())) == (0, {"ok"}), out
    assert "voxels: all of every case read" in out
    assert {f"data: {what} 3/3" for what in ("headers", "labels", "images")} <= set(err.splitlines())


def test_all_limits_together_stay_under_half_a_minute() -> None:
    before = preflight._DATA_S + preflight._HUNG_FILE_S + preflight._MACHINE_S
    assert preflight._ALL_S - before >= preflight._TRAINING_S
    assert max(preflight._TRUST_S, preflight._USER_S) < preflight._DATA_S
    assert max(preflight._ALL_S, preflight._NETWORK_S) + 1.0 < 28.0


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-site", ["check", "--help"]) == 0
    assert "fedmets-site check /srv/fedmets" in capsys.readouterr().out
