"""Every error fedmets raises on purpose; this docstring is the tree.

FedmetsError                  base: one line that says what, where and what to do
├── UserError                 the user's mistake; a command that meets it exits with 2
│   ├── ConfigError           a configuration that does not fit the schema
│   ├── DataError             a data root or table that cannot serve as a dataset
│   ├── OutputError           an output folder that belongs to something else
│   ├── ModelRefused          a model folder or an input image that must not be used together
│   ├── EnrollmentError       a name, request, kit or folder that does not fit what is enrolled
│   └── KeyFileError          a private key that is missing, open to others, or locked by a passphrase
├── TrustError                a signature, key or certificate that must not be believed, with a typed code
├── CaseRejected              one case is unusable; it is quarantined and the run goes on
├── SiteRefusal               a site declines a task, with a typed code
├── WireError                 a message that is not what it should be; nothing in it is used
├── NodeError                 the site's own SuperNode does not answer as it should
├── UpdateRejected            the server declines a site's update, with a typed code
├── TrainingFailed            a site's work was lost without anybody declining it, with a typed code
├── CheckpointCorrupt         a commit on disk does not match its own hash
├── AuditBroken               an audit log's hash chain does not hold
└── StorageError              the disk is full or cannot be written

Only `code` and `reason` values (the enumerations below) may leave a site; messages stay in the house.
"""

from enum import StrEnum


class CaseReason(StrEnum):
    """Why a case is quarantined. The value may leave the site, as a count."""

    MISSING_SEQUENCE = "missing-sequence"
    MISSING_LABEL = "missing-label"
    EMPTY_VOLUME = "empty-volume"
    NOT_FINITE = "not-finite"
    CONSTANT_IMAGE = "constant-image"
    TRUNCATED_FILE = "truncated-file"
    ZERO_BYTE_FILE = "zero-byte-file"
    UNREADABLE_FILE = "unreadable-file"
    NOT_3D = "not-3d"
    ILLEGAL_LABEL = "illegal-label"
    LABEL_MISMATCH = "label-image-mismatch"
    SEQUENCE_MISMATCH = "sequences-do-not-overlap"
    ABSURD_SPACING = "absurd-spacing"
    PATH_ESCAPE = "path-escapes-root"
    NO_BRAIN_MASK = "no-brain-mask"
    AMBIGUOUS_FILE = "ambiguous-file"
    EXCLUDED = "excluded-by-dataset"


class RefusalCode(StrEnum):
    """Why a site declines a task."""

    WRONG_PLAN = "wrong-plan"
    STALE_ROUND = "stale-round"
    LACKS_SEQUENCE = "lacks-sequence"
    TOO_MANY_BAD_CASES = "too-many-bad-cases"
    NO_TRAINING_CASES = "no-training-cases"
    MODEL_MISMATCH = "model-mismatch"
    NOT_APPROVED = "plan-not-approved"
    PLAN_REFUSED = "plan-refused"
    OTHER_BUNDLE = "other-bundle"
    SEEN_BEFORE = "seen-before"
    CLOCKS_DIFFER = "clocks-differ"
    MALFORMED = "malformed-message"
    NO_STATE = "no-state-folder"
    CASES_CHANGED = "cases-changed"
    LABELS_DO_NOT_FIT = "labels-do-not-fit"
    NOT_READY = "not-ready"


class UpdateCode(StrEnum):
    """Why the server declines an update, or why there is none."""

    NOT_FINITE = "not-finite"
    WRONG_LAYOUT = "wrong-layout"
    ABSURD_NORM = "absurd-norm"
    WRONG_ROUND = "wrong-round"
    OTHER_PLAN = "other-plan"
    WRONG_SITE = "wrong-site"
    BAD_COUNTS = "bad-counts"
    DUPLICATE = "duplicate"
    OTHER_TASK = "other-task"
    MALFORMED_REPLY = "malformed-reply"


class FailureCode(StrEnum):
    """Why a site's work was lost without anybody declining it."""

    OUT_OF_MEMORY = "out-of-memory"
    WORKER_DIED = "worker-died"
    TRAINING_ERROR = "training-error"
    NOT_FINITE_LOSS = "not-finite-loss"
    NOT_ENCODABLE = "not-encodable"
    CONNECTION_LOST = "connection-lost"
    SITE_STOPPED = "site-stopped"
    DISK_FULL = "disk-full"
    DEADLINE = "deadline-passed"


class TrustCode(StrEnum):
    """Why a signature, key or certificate is not believed. The value may cross the wire."""

    BAD_SIGNATURE = "bad-signature"
    WRONG_KEY = "wrong-key"
    WRONG_AUTHORITY = "wrong-authority"
    WRONG_NAME = "wrong-name"
    WRONG_FINGERPRINT = "wrong-fingerprint"
    UNKNOWN_SITE = "unknown-site"
    SUSPENDED = "suspended"
    REMOVED = "removed"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    BROKEN_ROTATION = "broken-rotation"


class FedmetsError(Exception):
    """Base of the tree; `str()` of it is one line fit for a terminal."""

    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Cross between processes whole: pickle's own way calls the class with the message alone."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[FedmetsError], args: tuple[object, ...], state: dict[str, object]) -> FedmetsError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UserError(FedmetsError):
    """Something the user can put right."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration that does not fit the schema; the message lists every fault of the file."""


class DataError(UserError):
    """A data root, spreadsheet or partition table that cannot serve."""


class OutputError(UserError):
    """An output folder that belongs to another configuration or cannot be used."""


class ModelRefused(UserError):
    """A model or an image that must not be used together."""


class EnrollmentError(UserError):
    """A name, request, kit or folder that does not fit what is enrolled already."""


class KeyFileError(UserError):
    """A private key or passphrase file that is missing, open to others, damaged or locked."""


class CaseRejected(FedmetsError):
    """One case is unusable. `reason` may be counted in a report; the text stays at the site."""

    def __init__(self, reason: CaseReason, case: str, detail: str) -> None:
        super().__init__(f"case {case}: {reason}: {detail}")
        self.reason = reason
        self.case = case
        self.detail = detail


class SiteRefusal(FedmetsError):
    """A site declines a task. Only `code` leaves the site."""

    def __init__(self, code: RefusalCode | TrustCode, site: str, detail: str) -> None:
        super().__init__(f"site {site} refuses: {code}: {detail}")
        self.code = code
        self.site = site


class UpdateRejected(FedmetsError):
    """The server declines one site's update."""

    def __init__(self, code: UpdateCode | TrustCode, site: str, detail: str) -> None:
        super().__init__(f"update of site {site} rejected: {code}: {detail}")
        self.code = code
        self.site = site


class TrainingFailed(FedmetsError):
    """A site's work was lost. Only `code` leaves the site."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(f"training failed: {code}: {detail}")
        self.code = code


class TrustError(FedmetsError):
    """Something that must not be believed. Only `code` may leave the house."""

    def __init__(self, code: TrustCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class WireError(FedmetsError):
    """A message that is malformed; the text stays in the house."""


class NodeError(FedmetsError):
    """The SuperNode beside the worker is away, or refuses. `holds_task`: it waits for a reply that cannot come."""

    def __init__(self, detail: str, holds_task: bool = False) -> None:
        super().__init__(detail)
        self.holds_task = holds_task


class RunStalled(FedmetsError):
    """Round after round below quorum; the message names the sites and what each said last."""


class CheckpointCorrupt(FedmetsError):
    """A commit does not match its own hash."""


class AuditBroken(FedmetsError):
    """An audit log whose hash chain does not hold; the message names the first bad line."""


class StorageError(FedmetsError):
    """The disk is full or refuses to be written; names the folder and what to do."""
