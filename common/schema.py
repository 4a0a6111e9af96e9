"""The frozen base of every record that is read from or written to JSON and TOML."""

import hashlib
import json
from typing import Self

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, strict about types, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse JSON text; raises pydantic.ValidationError."""
        return cls.model_validate_json(text)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, the same bytes on every machine."""
        return canonical_json(self.model_dump(mode="json"))

    def fingerprint(self) -> str:
        """Hex sha256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces; NaN and infinity are errors, since JSON has neither."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
