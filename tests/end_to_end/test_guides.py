"""The commands of docs/operations.md and docs/site-guide.md make, run and change one small federation."""

import io
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import tomli_w

from common.audit import read_audit
from server.nodes import read_nodes
from server.superlink import flower_folder
from server.up_record import read_up
from simulation.config import load_experiment
from simulation.partition.command import partition_command
from simulation.progress import PlainProgress
from tests.end_to_end import in_the_text
from tests.end_to_end.guided import CONSORTIUM, DOCS, HOSPITALS, Guided, blocks, guided, mail
from tests.end_to_end.live import PATIENCE_S, wait_for
from tests.end_to_end.modes import current_umask, not_as_told
from tests.end_to_end.tiny import PLAN, phantom_config

ROUNDS = 3
STATUS, RESUME = "status bmfed", "resume bmfed $PLAN --wait"
PLAN_FILE = DOCS.parent / "configs" / "plan.toml"
TRAIN = "UCSF_BrainMetastases_v1.3/UCSF_BrainMetastases_TRAIN"


def test_the_commands_stand_in_one_order() -> None:
    assert [block.step for block in blocks()] == list(range(1, 18))


def test_a_federation_by_the_book(tmp_path: Path) -> None:
    """From its founding to a released model, a removed site and a withdrawn approval."""
    with guided(tmp_path) as lab, ExitStack() as held:
        for block in blocks():
            _BEFORE.get(block.step, _nothing)(lab, held)
            lab.perform(block)
            _AFTER.get(block.step, _nothing)(lab, held)
        _what_left_is_on_record(lab)
        assert [lab.end("fedmets-site run site", who) for who in HOSPITALS] == [0, 0, 0]
        assert lab.end("fedmets-server up bmfed --listen 0.0.0.0", CONSORTIUM) == 0
        assert [not_as_told(lab.site(who), current_umask()) for who in HOSPITALS] == [[], [], []]


def _nothing(lab: Guided, held: ExitStack) -> None:
    """Most steps need nothing that the guides do not say."""


def _note_fingerprint(lab: Guided, held: ExitStack) -> None:
    found = re.search(r"authority fingerprint (.*)", "\n".join(lab.said.values()))
    assert found is not None
    lab.variables["FINGERPRINT"] = found[1]


def _mail_requests(lab: Guided, held: ExitStack) -> None:
    for who in HOSPITALS:
        mail(lab.site(who) / "request.json", lab.place(CONSORTIUM) / f"{who}.json")


def _mail_kits(lab: Guided, held: ExitStack) -> None:
    for who in HOSPITALS:
        mail(lab.place(CONSORTIUM) / f"{who}.kit", lab.place(who) / f"{who}.kit")


def _write_site_files(lab: Guided, held: ExitStack) -> None:
    """What the site guide shows as a whole site.toml, with each hospital's own folder of cases."""
    guide = (DOCS / "site-guide.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    cohort = load_experiment(phantom_config(lab.root))
    partition_command(cohort, lab.root / "cohort", True, PlainProgress(io.StringIO()))
    for who, phantom in zip(HOSPITALS, ("north", "south", "west"), strict=True):
        data = lab.root / "cohort" / "sites" / phantom / TRAIN
        assert shown.count('"/data/metastases"') == 1
        text = shown.replace("/data/metastases", str(data))
        (lab.site(who) / "site.toml").write_text(text, encoding="utf-8")
    in_the_text.close_files(lab)


def _wait_until_up(lab: Guided, held: ExitStack) -> None:
    wait_for(lambda: read_up(lab.server) is not None, "the aggregator is up", lab.log)


def _write_plan(lab: Guided, held: ExitStack) -> None:
    """configs/plan.toml, made small."""
    plan = tomllib.loads(PLAN_FILE.read_text(encoding="utf-8"))
    for section, settings in tomllib.loads(PLAN).items():
        plan[section] |= settings
    plan["federation"]["rounds"] = ROUNDS
    (lab.place(CONSORTIUM) / "plan.toml").write_text(tomli_w.dumps(plan), encoding="utf-8")


def _note_plan(lab: Guided, held: ExitStack) -> None:
    found = re.search(
        r"^plan ([0-9a-f]{64})$", lab.said[f"{CONSORTIUM}: fedmets-server plan bmfed plan.toml"], re.M
    )
    assert found is not None
    lab.variables["PLAN"] = found[1]


def _wait_for_proposals(lab: Guided, held: ExitStack) -> None:
    lab.wait("every hospital has the plan", "hospital-*/site/plans/*/plan.json", 3)
    in_the_text.read_every_case(lab)


def _hold_second_round(lab: Guided, held: ExitStack) -> None:
    trainer = lab.trainer("hospital-c")  # looked for before: the three rounds are soon over
    lab.wait("the first round is committed", "consortium/bmfed/runs/*/rounds/round-0001", 1)
    held.enter_context(lab.held(trainer))
    in_the_text.approve_from_a_file(lab)


def _let_go(lab: Guided, held: ExitStack) -> None:
    held.close()


def _look_at_the_end(lab: Guided, held: ExitStack) -> None:
    said = {command: lab.said[f"{CONSORTIUM}: fedmets-server {command}"] for command in (STATUS, RESUME)}
    assert re.search("training, round [12] of 3", said[STATUS]), said[STATUS]  # a second one may have come between
    assert "completed, round 3 of 3" in said[RESUME]
    in_the_text.look_at_the_aggregator(lab)
    in_the_text.read_flowers_log(lab, "round 3")
    waiting = lab.running.pop(f"{CONSORTIUM}: fedmets-server start bmfed $PLAN --wait")
    assert waiting.wait(PATIENCE_S) == 1  # stopped is neither completed nor partial


def _wait_for_release(lab: Guided, held: ExitStack) -> None:
    lab.wait("every hospital was sent the model", "hospital-*/site/plans/*/release/signature.json", 3)


def _use_the_model(lab: Guided, held: ExitStack) -> None:
    in_the_text.use_the_model(lab)


def _site_is_let_go(lab: Guided, held: ExitStack) -> None:
    def known() -> set[str]:
        return {node.site for node in read_nodes(flower_folder(lab.server))}

    wait_for(lambda: known() == {"hospital-a", "hospital-b"}, "hospital-c is no longer let in", lab.log)


Act = Callable[[Guided, ExitStack], None]
_BEFORE: Mapping[int, Act] = {
    3: _mail_requests,
    4: _mail_kits,
    6: _write_site_files,
    7: _write_plan,
    9: _wait_for_proposals,
    12: _let_go,
    14: _wait_for_release,
}
_AFTER: Mapping[int, Act] = {
    1: _note_fingerprint,
    5: _wait_until_up,
    7: _note_plan,
    9: _hold_second_round,
    12: _look_at_the_end,
    14: _use_the_model,
    15: _site_is_let_go,
}


def _what_left_is_on_record(lab: Guided) -> None:
    """Every hospital's log has an update a round, and the model that was released is in the house that took it."""
    for who in HOSPITALS:
        log = list(read_audit(lab.site(who) / "audit.jsonl"))
        bodies = [line.details["body"] for line in log if line.event == "left-the-house"]
        assert {body["round_id"] for body in bodies if body.get("outcome") == "update"} == {1, 2, 3}, who
    released = (lab.place(CONSORTIUM) / "model" / "manifest.json").read_bytes()
    (kept,) = lab.root.glob("hospital-a/site/models/*/manifest.json")
    assert kept.read_bytes() == released
    events = [line.event for line in read_audit(lab.site("hospital-a") / "audit.jsonl")]
    assert events[-2:] == ["release-stored", "plan-refused"]
