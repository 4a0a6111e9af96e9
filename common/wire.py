"""What really travels: signed bodies of canonical JSON, each with at most one packed vector beside it.

A body states the size and sha256 of its payload, so that the signature under the body covers both. Nothing else
crosses the wire in either direction; docs/site-guide.md lists these fields for the hospital.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from common.compression import Encoding
from common.errors import FailureCode, RefusalCode, TrustCode, WireError
from common.identity import Bytes, Sha256, Signature
from common.plan import Count, Name, Plan
from common.protocol import TrainReport
from common.rotation import Rotation
from common.schema import Frozen

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Body = TypeVar("Body", bound=Frozen)
_LARGEST_BODY_BYTES = 4_000_000
NO_BUNDLE = hashlib.sha256(b"").hexdigest()  # where Flower delivers none: under its simulation engine


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message in either direction.

    Attributes:
        body: canonical JSON of one of the bodies below; `kind` in it says which.
        signature: under the body.
        payload: a packed vector or a file; empty where the body names none.
    """

    body: bytes
    signature: Signature
    payload: Bytes = b""


class SignedBody(Frozen):
    """An envelope without payload as it lies in a file: a proposed plan, a released model's statement."""

    schema_version: Literal[1] = 1
    body: str
    signature: Signature

    @classmethod
    def of(cls, envelope: Envelope) -> Self:
        """As it is kept."""
        return cls(body=envelope.body.decode(), signature=envelope.signature)

    def envelope(self) -> Envelope:
        """As it is sent."""
        return Envelope(self.body.encode(), self.signature)


class Payload(Frozen):
    """What a body says of the bytes that travel beside it."""

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class PlanBody(Frozen):
    """A plan as the aggregator proposes it.

    Attributes:
        bundle_sha256: of the app bundle that Flower delivers with every task; it holds no code.
        rotations: from the aggregator's first identity to its present one, for sites that have not followed yet.
    """

    schema_version: Literal[1] = 1
    kind: Literal["plan"] = "plan"
    federation: Name
    plan: Plan
    bundle_sha256: Sha256
    proposed_at: AwareDatetime
    rotations: tuple[Rotation, ...] = ()

    @property
    def plan_id(self) -> str:
        """The plan's fingerprint."""
        return self.plan.fingerprint()


class TaskBody(Frozen):
    """One round's task, the same for every site of the plan.

    Attributes:
        nonce: never used twice; the reply repeats it.
        issued_at, answer_by: by the aggregator's clock.
        layout: names and shapes of the tensors in the payload, in order.
        encoding: how the payload packs the model's weights.
    """

    schema_version: Literal[1] = 1
    kind: Literal["task"] = "task"
    federation: Name
    plan_id: Sha256
    round_id: Count
    nonce: Nonce
    issued_at: AwareDatetime
    answer_by: AwareDatetime
    layout: tuple[tuple[str, tuple[int, ...]], ...]
    encoding: Encoding
    payload: Payload
    rotations: tuple[Rotation, ...] = ()


class ReleaseBody(Frozen):
    """A finished model, offered to the sites that trained it; the payload is its safetensors file.

    Attributes:
        manifest, plan_json, metrics: the text of the released folder's other files.
    """

    schema_version: Literal[1] = 1
    kind: Literal["release"] = "release"
    federation: Name
    plan_id: Sha256
    nonce: Nonce
    released_at: AwareDatetime
    manifest: str
    plan_json: str
    metrics: str
    payload: Payload
    rotations: tuple[Rotation, ...] = ()


class ReplyBody(Frozen):
    """A site's answer to a task: all that leaves a hospital because of a round, with the update as payload.

    Attributes:
        nonce: the task's.
        outcome: an update, or why there is none.
        code: for a refusal or a failure; never a text.
        report: counts, sums and durations, with an update.
        encoding, payload: of the update.
    """

    schema_version: Literal[1] = 1
    kind: Literal["reply"] = "reply"
    federation: Name
    site: Name
    plan_id: Sha256
    round_id: Annotated[int, Field(ge=0)]
    nonce: Nonce
    outcome: Literal["update", "refused", "failed"]
    code: RefusalCode | FailureCode | TrustCode | None = None
    report: TrainReport | None = None
    encoding: Encoding | None = None
    payload: Payload | None = None


class StandingBody(Frozen):
    """A site's answer to a proposed plan or a released model: how it stands to it."""

    schema_version: Literal[1] = 1
    kind: Literal["standing"] = "standing"
    federation: Name
    site: Name
    plan_id: Sha256
    standing: Literal["waiting", "approved", "refused", "stored"]
    code: RefusalCode | TrustCode | None = None


def new_nonce() -> str:
    """128 bits from the operating system's random source, in hex."""
    return secrets.token_hex(16)


def describe(payload: Bytes) -> Payload:
    """Size and sha256 of a payload."""
    return Payload(size_bytes=len(payload), sha256=hashlib.sha256(payload).hexdigest())


def kind_of(envelope: Envelope) -> str:
    """The kind that the body claims; raises WireError when it has none."""
    for kind in ("task", "plan", "release", "reply", "standing"):
        if f'"kind":"{kind}"'.encode() in envelope.body:  # canonical JSON has no spaces; parsing decides
            return kind
    raise WireError("a message without a known kind; both ends must run the same version of fedmets")


def read_body(kind: type[Body], envelope: Envelope) -> Body:
    """Parse the body and hold the payload against it; who signed it is not looked at here.

    Raises:
        WireError: not this kind of body, not canonical JSON, or another payload than it names.
    """
    if len(envelope.body) > _LARGEST_BODY_BYTES:
        raise WireError(f"a body of {len(envelope.body)} bytes, the limit is {_LARGEST_BODY_BYTES}")
    try:
        body = kind.from_json(envelope.body)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "(top level)"
        raise WireError(f"not a {kind.__name__}: '{place}': {fault['msg']}") from None
    if body.to_json().encode() != envelope.body:
        raise WireError(f"a {kind.__name__} that is not canonical JSON; the signature would cover another text")
    named: Payload | None = getattr(body, "payload", None)
    if (named or describe(b"")) != describe(envelope.payload):
        raise WireError(
            f"the payload is not the one that the {kind.__name__} names ({len(envelope.payload)} bytes came, "
            f"{named.size_bytes if named else 0} are named)"
        )
    return body


def is_in_time(body: TaskBody, now: datetime, skew_s: float) -> bool:
    """Whether a clock that may be off by `skew_s` reads a time between the task's issue and its end."""
    return (now - body.issued_at).total_seconds() >= -skew_s and (now - body.answer_by).total_seconds() <= skew_s
