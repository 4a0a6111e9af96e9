"""`fedmets-server release`: a run's model as a folder that carries the aggregator's signature."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from common.audit import JSON
from common.durable import write_durably
from common.errors import EnrollmentError
from common.identity import Domain, IdentityKey
from common.lock import exclusive
from common.plan import Plan
from common.release import SIGNATURE, read_files, write_release
from common.signed_release import texts_of, weights_of
from common.wire import Envelope, ReleaseBody, SignedBody, describe, new_nonce
from server.federation import ROUNDS_FOLDER
from server.model_card import fewest_shown, model_card
from server.plans import KeptPlan
from server.pooled_figures import latest_figures
from server.provisioning import ServerFolder
from server.records import RoundRecord, run_status
from server.run_folder import RunFolder
from server.store import RunStore

_WAIT_S = 30.0


def release_model(folder: ServerFolder, kept: KeptPlan, out: Path, identity: IdentityKey, now: datetime) -> str:
    """Write the last committed model of a plan's run to `out`, signed; returns the model's sha256.

    The log is written before the signature: cut off in between, `out` is a folder that no site believes.

    Raises:
        AuditBroken: the federation's log does not hold; nothing is written.
        EnrollmentError: the run has no round that moved the model.
        OutputError: `out` exists and is not a released model.
        CheckpointCorrupt: the run's commits do not hold.
    """
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now)  # refuses a log that does not hold
    run = RunFolder(folder, kept.body.plan_id)
    run.make()
    with exclusive(run.path):  # not while the run is at work there
        store = RunStore(run.path / ROUNDS_FOLDER, _nothing_to_note)
        latest, history = store.latest(kept.plan), store.history()
    if latest is None or not any(record.advanced for record in history):
        raise EnrollmentError(f"{run.path}: no round of plan '{kept.plan.name}' has moved the model yet")
    metrics = _metrics(history, kept)
    card = model_card(kept.plan, latest.weights, history, metrics)
    sha256 = write_release(out, kept.plan, latest.weights, metrics, latest.round_id, card)
    message = _seal(folder, kept, out, identity, now)
    details: dict[str, JSON] = {"plan_id": kept.body.plan_id, "model_sha256": sha256, "round": latest.round_id}
    with exclusive(folder.path, _WAIT_S):
        folder.audit(now).record("model-released", None, details)
    write_durably(out / SIGNATURE, f"{SignedBody.of(message).to_json()}\n".encode())
    return sha256


def sealed_release(
    folder: ServerFolder, kept: KeptPlan, run: RunFolder, identity: IdentityKey, now: datetime
) -> Envelope:
    """The model of a run as a message to the sites; written to the run's own folder first."""
    out = run.path / "model"
    release_model(folder, kept, out, identity, now)
    return _seal(folder, kept, out, identity, now)


def _seal(folder: ServerFolder, kept: KeptPlan, out: Path, identity: IdentityKey, now: datetime) -> Envelope:
    files = read_files(out)
    payload = weights_of(files)
    texts = texts_of(files)
    body = ReleaseBody(
        federation=folder.federation.name,
        plan_id=kept.body.plan_id,
        nonce=new_nonce(),
        released_at=now,
        manifest=texts["manifest"],
        plan_json=texts["plan_json"],
        metrics=texts["metrics"],
        payload=describe(payload),
        rotations=folder.rotations(),
    )
    data = body.to_json().encode()
    return Envelope(data, identity.sign(Domain.RELEASE, data), payload)


def _metrics(history: Sequence[RoundRecord], kept: KeptPlan) -> Mapping[str, JSON]:
    """What the federation itself can say of the model: rounds, and the sites' sums on their validation cases."""
    return {
        "status": str(run_status(history, kept.plan.federation.rounds)),
        "rounds": len(history),
        "sites": list(kept.plan.sites),
        "validation": _validation(history, kept.plan),
        "trained_on": "data at the sites of the federation; see plan.json",
    }


def _validation(history: Sequence[RoundRecord], plan: Plan) -> Mapping[str, JSON] | None:
    """All sites' figures of the last round that was validated; None when of too few patients to be shown.

    How many patients have the lesions of a class, no site tells. That they are enough follows from the plan's
    `smallest_cell`; where this is smaller than what a release may show, nothing that counts lesions is in it.
    """
    figures, least = latest_figures(history), fewest_shown(plan)
    if figures is None or figures.patients < least:
        return None
    shows_lesions = plan.evaluation.smallest_cell >= least
    by_volume = {band: one.to_dict() for band, one in figures.by_volume.items()}
    return {
        "of_the_model_that_came_into_round": figures.round,
        "suppressed_sites": figures.suppressed_sites,
        "patients": figures.patients,
        "cases": figures.cases,
        "dice": figures.dice.to_dict(),
        "lesion_sensitivity": figures.sensitivity.to_dict() if shows_lesions else None,
        "fp_per_scan": figures.fp_per_scan.to_dict(),
        "sensitivity_by_volume": by_volume if shows_lesions else None,
    }


def _nothing_to_note(event: str, round_id: int | None, text: str) -> None:
    """A release changes nothing in the run's folder."""
