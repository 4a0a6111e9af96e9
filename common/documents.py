"""Reading the small JSON documents that travel by mail or disk while a site joins."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from common.errors import EnrollmentError
from common.schema import Frozen

Record = TypeVar("Record", bound=Frozen)
_LARGEST_BYTES = 1_000_000


def read_document(record: type[Record], path: Path, kind: str) -> Record:
    """Parse a document from a file.

    Args:
        record: its schema.
        path: the file.
        kind: what it should be, for the error: "a site's request".

    Raises:
        EnrollmentError: missing, larger than any such document, or not of this kind.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise EnrollmentError(f"{path}: cannot read {kind} ({error.strerror}); check the path") from None
    if len(data) > _LARGEST_BYTES:
        raise EnrollmentError(f"{path}: over {_LARGEST_BYTES} bytes, too large for {kind}; check the path")
    return parse_document(record, data, str(path), kind)


def parse_document(record: type[Record], data: bytes, where: str, kind: str) -> Record:
    """Parse a document; raises EnrollmentError naming the first fault."""
    try:
        return record.from_json(data)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "(top level)"
        raise EnrollmentError(f"{where}: not {kind}: '{place}': {fault['msg']}; ask for a new copy") from None
