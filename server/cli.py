"""The consortium's command: `fedmets-server`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from common.audit import verify_audit
from common.cli import new_app, run_app
from common.errors import AuditBroken, CheckpointCorrupt, FedmetsError, ModelRefused, UserError
from common.release import MANIFEST, open_release
from server.federation import AUDIT_FILE, ROUNDS_FOLDER
from server.gateway_cli import add_gateway_commands
from server.run_cli import add_run_commands
from server.trust_cli import add_trust_commands
from server.up_cli import add_up_command
from server.verify import verify_run

app = new_app("The consortium's end of fedmets. Research software, not a medical device.")
add_trust_commands(app)
add_up_command(app)
add_gateway_commands(app)
add_run_commands(app)

MODEL_FOLDER = "model"
RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, and what came of it."""

    path: str
    holds: bool
    finding: str


@app.command()
def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A run's folder, a released model's folder, or an audit log.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check that an audit log, a run's committed rounds and a released model are as they were written.

    Exits with 0 when everything holds, with 1 when something does not, with 2 when there is nothing to check.

    Example:

    \b
        fedmets-server verify runs/demo
        fedmets-server verify runs/demo/audit.jsonl
    """
    checks = run_checks(path)
    if as_json:
        print(json.dumps({"schema": 1, "checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            if check.holds:
                print(f"{check.path}: {check.finding}")
    broken = [check.finding for check in checks if not check.holds]
    if broken:
        raise FedmetsError("; ".join(broken))


def main() -> None:
    """Entry point of `fedmets-server`."""
    sys.exit(run_app(app, "fedmets-server"))


def run_checks(path: Path) -> list[Check]:
    """Check whatever can be checked at a path.

    Raises:
        UserError: nothing there is an audit log, a run or a released model.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a run's folder, a model's folder or an audit log")
    if path.is_file():
        return [_check_audit(path)]
    if (path / MANIFEST).exists():
        return [_check_model(path, {})]
    checks = []
    named: dict[str, str] = {}
    if (path / ROUNDS_FOLDER).exists():
        checks.append(_check_run(path, named))
    elif (path / AUDIT_FILE).exists():
        checks.append(_check_audit(path / AUDIT_FILE))
    if (path / MODEL_FOLDER).exists():
        checks.append(_check_model(path / MODEL_FOLDER, named | _named_in_result(path / RESULT_FILE)))
    if not checks:
        raise UserError(
            f"{path}: holds neither {AUDIT_FILE} nor {MODEL_FOLDER}/{MANIFEST}; give a run's or a model's folder"
        )
    return checks


def _check_audit(path: Path) -> Check:
    try:
        count = verify_audit(path)
    except AuditBroken as error:
        return Check(str(path), False, str(error))
    return Check(str(path), True, f"the chain of {count} records holds from the first to the last")


def _check_run(folder: Path, named: dict[str, str]) -> Check:
    """Check the log, every commit, and that the two agree; note the last model's sha256 in `named`."""
    try:
        found = verify_run(folder)
    except (AuditBroken, CheckpointCorrupt) as error:
        return Check(str(folder), False, str(error))
    if found.model_sha256 is not None:
        named[f"the last commit in {folder / ROUNDS_FOLDER}"] = found.model_sha256
    return Check(
        str(folder),
        True,
        f"the chain of {found.audit_records} audit records holds, {found.rounds} committed rounds match it",
    )


def _check_model(folder: Path, named: Mapping[str, str]) -> Check:
    """Check a model's files, and that it is the model which the rest of the run names.

    Args:
        folder: the released model.
        named: model sha256 by who says so.
    """
    try:
        release = open_release(folder)
    except ModelRefused as error:
        return Check(str(folder), False, str(error))
    for who, sha256 in named.items():
        if sha256 != release.sha256:
            detail = f"{folder}: is model {release.sha256[:12]}…, but {who} names {sha256[:12]}…; do not use it"
            return Check(str(folder), False, detail)
    finding = (
        f"every file matches its manifest; model {release.sha256} of round {release.round_id}, "
        f"{release.weights.vector.size} parameters"
    )
    return Check(str(folder), True, finding)


def _named_in_result(path: Path) -> dict[str, str]:
    """The model that a run's result names; empty where there is no result, or none with a model."""
    if not path.is_file():
        return {}
    try:
        model = json.loads(path.read_bytes())["model"]
        return {str(path): str(model["sha256"])} if model else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a readable result file ({error}); restore or remove it") from None
