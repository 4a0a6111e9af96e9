"""A released model with the aggregator's signature: what it says, and holding the files against it."""

from collections.abc import Mapping
from pathlib import Path

from common.documents import read_document
from common.errors import ModelRefused, WireError
from common.release import CARD, MANIFEST, SIGNATURE, card_in, read_files
from common.wire import Envelope, ReleaseBody, SignedBody, read_body

_WEIGHTS, _PLAN, _METRICS = "model.safetensors", "plan.json", "metrics.json"


def files_of(body: ReleaseBody, message: Envelope) -> Mapping[str, bytes]:
    """The folder that a release message makes, its signature included.

    Raises:
        ModelRefused: metrics.json cannot be read.
    """
    metrics = body.metrics.encode()
    card = card_in(metrics)
    return {
        _WEIGHTS: bytes(message.payload),
        _PLAN: body.plan_json.encode(),
        _METRICS: metrics,
        **({} if card is None else {CARD: card}),
        MANIFEST: body.manifest.encode(),
        SIGNATURE: f"{SignedBody.of(message).to_json()}\n".encode(),
    }


def texts_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """The fields of a ReleaseBody that hold whole files."""
    return {
        "manifest": files[MANIFEST].decode(),
        "plan_json": files[_PLAN].decode(),
        "metrics": files[_METRICS].decode(),
    }


def weights_of(files: Mapping[str, bytes]) -> bytes:
    """The payload."""
    return files[_WEIGHTS]


def read_signed(folder: Path) -> tuple[ReleaseBody, Envelope]:
    """A model folder's statement with its files as payload; whose signature it is, is not looked at here.

    Raises:
        ModelRefused: no signature, or the files are not those that were signed.
    """
    path = folder / SIGNATURE
    if not path.is_file():
        raise ModelRefused(f"{folder}: has no {SIGNATURE}, so no federation vouches for it; ask for a signed copy")
    signed, files = read_document(SignedBody, path, "a release's signature"), read_files(folder)
    message = Envelope(signed.body.encode(), signed.signature, files[_WEIGHTS])
    try:
        body = read_body(ReleaseBody, message)
    except WireError as error:
        raise ModelRefused(f"{folder}: {error}; do not use this model; get a fresh copy") from None
    if texts_of(files) != {name: getattr(body, name) for name in ("manifest", "plan_json", "metrics")}:
        raise ModelRefused(f"{folder}: its files are not those that were signed; get a fresh copy")
    return body, message
