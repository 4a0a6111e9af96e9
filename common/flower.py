"""The codec between our envelopes and Flower's records: the only place that knows how one looks in the other.

An envelope is a ConfigRecord with the body and its signature, and an ArrayRecord with the payload as one Array of
raw bytes. The array's own type fields are fixed and never interpreted, so nothing is deserialised but bytes.
"""

from typing import TypeAlias

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from pydantic import ValidationError

from common.errors import WireError
from common.identity import Signature
from common.wire import Envelope

_HEAD, _DATA, _PAYLOAD = "fedmets", "fedmets-payload", "payload"
_RAW = "fedmets.raw"
Record: TypeAlias = RecordDict  # for those who pass one on and need not know whose it is


def to_record(envelope: Envelope) -> RecordDict:
    """As Flower carries it; the payload is not copied."""
    head = ConfigRecord({"body": envelope.body, "signature": envelope.signature.to_json()})
    payload = bytes(envelope.payload)
    arrays = {_PAYLOAD: Array("uint8", (len(payload),), _RAW, payload)} if payload else {}
    return RecordDict({_HEAD: head, _DATA: ArrayRecord(arrays)})


def from_record(record: RecordDict) -> Envelope:
    """Read it back, believing nothing; raises WireError when it is not one of ours."""
    head, data = record.config_records.get(_HEAD), record.array_records.get(_DATA)
    if head is None or data is None or len(record) != 2:
        raise WireError(f"a message with the records {sorted(record)[:5]}, expected {[_HEAD, _DATA]}")
    body, signature = head.get("body"), head.get("signature")
    if not isinstance(body, bytes) or not isinstance(signature, str) or len(head) != 2:
        raise WireError(f"a message whose head holds {sorted(head)[:5]}, expected a body and a signature")
    array = data.get(_PAYLOAD)
    if len(data) != (array is not None):
        raise WireError(f"a message with the arrays {sorted(data)[:5]}, expected at most '{_PAYLOAD}'")
    try:
        return Envelope(body, Signature.from_json(signature), b"" if array is None else array.data)
    except ValidationError:
        raise WireError("a message whose signature is not one of ours") from None
