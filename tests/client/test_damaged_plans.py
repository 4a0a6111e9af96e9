"""A plan whose files are damaged is shown as that, with what to do, and the others as usual."""

import json
from pathlib import Path

import pytest

from client.approvals import all_plans, damaged_plans, decide, find_plan, pick_plan, receive_plan
from client.cli import app
from client.daemon_status import as_text, site_status
from client.server_trust import open_site
from client.site_folder import SiteFolder
from common.cli import run_app
from common.errors import EnrollmentError
from common.wire import StandingBody, read_body
from server.plans import KeptPlan, sign_plan
from tests.trust import DAY_0
from tests.wired import BUNDLE, Wired, propose, wire


@pytest.fixture
def lab(tmp_path: Path) -> Wired:
    return wire(tmp_path)


def another(lab: Wired) -> KeptPlan:
    """A second plan, approved at north too."""
    server = lab.lab.server
    kept = sign_plan(server, lab.plan.model_copy(update={"seed": 8}), BUNDLE, server.identity(None), DAY_0)
    propose(lab.site("north"), kept.envelope)
    return kept


def damage(site: SiteFolder, kept: KeptPlan, name: str) -> Path:
    path = site.path / "plans" / kept.body.plan_id / name
    path.write_bytes(path.read_bytes()[:-20])
    return path


def typed(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = run_app(app, "fedmets-site", argv)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("name", ["decision.json", "plan.json"])
def test_one_damaged_plan_hides_no_other(lab: Wired, capsys: pytest.CaptureFixture[str], name: str) -> None:
    site, kept, other = lab.site("north"), lab.kept, another(lab)
    path = damage(site, kept, name)
    (found,) = damaged_plans(site)
    assert found.plan_id == kept.body.plan_id
    assert found.damage.startswith(f"{path}: cannot be read as ")
    assert f"fedmets-site approve {site.path} " in found.damage

    code, out, _ = typed(capsys, "plans", str(site.path))
    whole, damaged = out.splitlines()
    assert (code, whole.split()[:2]) == (0, [other.body.plan_id[:12], "approved"])
    assert damaged == f"{kept.body.plan_id[:12]}  damaged   {found.damage}"
    told = json.loads(typed(capsys, "plans", str(site.path), "--json")[1])
    assert [one["plan_id"] for one in told["plans"]] == [other.body.plan_id]
    assert told["damaged"] == [{"plan_id": kept.body.plan_id, "damage": found.damage}]
    assert f"plan {kept.body.plan_id[:12]}: {found.damage}" in as_text(site_status(site, DAY_0), DAY_0)
    assert [plan.fingerprint() for plan in lab.desk("north").approved()] == [other.body.plan_id]


def test_a_plan_whose_decision_is_damaged_waits_until_a_person_decides_again(lab: Wired) -> None:
    site, plan_id = lab.site("north"), lab.kept.body.plan_id
    damage(site, lab.kept, "decision.json")
    told = read_body(StandingBody, lab.desk("north").answer(lab.kept.envelope, BUNDLE))
    assert (told.standing, site_status(site, DAY_0).plans_waiting) == ("waiting", (plan_id,))
    decide(site, pick_plan(site, plan_id[:6]), "approved", DAY_0)
    assert (all_plans(site)[0].standing, damaged_plans(site)) == ("approved", ())


def test_a_damaged_proposal_is_put_right_by_the_same_one_and_waits_anew(lab: Wired) -> None:
    """Nobody can tell any more what the decision was about."""
    site, plan_id = lab.site("north"), lab.kept.body.plan_id
    damage(site, lab.kept, "plan.json")
    for look in (find_plan, pick_plan):
        with pytest.raises(
            EnrollmentError, match=r"plan\.json: cannot be read as a proposed plan; ask the consort"
        ):
            look(site, plan_id)
    receive_plan(site, open_site(site), lab.kept.envelope, DAY_0)
    assert ([one.standing for one in all_plans(site)], damaged_plans(site)) == (["waiting"], ())
