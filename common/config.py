"""The only reader of TOML: schema checked once at the edge, all faults of a file in one line."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from common.errors import ConfigError
from common.plan import Name, Sequence
from common.schema import Frozen

Record = TypeVar("Record", bound=Frozen)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class DataSection(Frozen):
    """A site's own data: where they lie and how to read them. It never travels.

    Attributes:
        adapter: the layout on disk.
        root: the dataset's folder; environment variables are expanded, a relative path is relative to the
            configuration file.
        sequences: glob pattern by sequence name (adapter `nifti_folders` only).
        label: glob pattern of the label (`nifti_folders` only).
        label_map: value in the file to what it shows: the index of one of the plan's `labels` (1 is the first),
            its name, or several names where the site drew them as one; every non-zero value must be mapped or
            ignored once a map is given. TOML keys are strings or bare integers.
        ignore_labels: values that count as background.
        unannotated: those of the plan's labels that nobody here drew: background may hold them.
        brain_mask: glob pattern of a brain mask (`nifti_folders` only).
        brain_mask_command: an external skull-stripper, e.g. ["mri_synthstrip", "-i", "{image}", "-m", "{mask}"].
        labels: which label file of UCSF-BMSR to use (`ucsf_bmsr` only).
        spreadsheet: table with case metadata; the adapters that have one find it themselves.
    """

    adapter: Literal["nifti_folders", "ucsf_bmsr", "brats_mets"]
    root: Path
    sequences: dict[Sequence, str] = {}
    label: str | None = None
    label_map: dict[int, int | Name | tuple[Name, ...]] | None = None
    ignore_labels: tuple[int, ...] = ()
    unannotated: tuple[Name, ...] = ()
    brain_mask: str | None = None
    brain_mask_command: tuple[str, ...] | None = None
    labels: Literal["binary", "three_class"] = "binary"
    spreadsheet: Path | None = None

    @model_validator(mode="after")
    def _patterns_fit_the_adapter(self) -> "DataSection":
        if self.adapter == "nifti_folders":
            if not self.sequences:
                raise ValueError('adapter nifti_folders needs sequences = { t1c = "PATTERN", ... }')
        elif self.sequences or self.label or self.brain_mask:
            raise ValueError(
                f"adapter {self.adapter} knows its own file names: leave out sequences, label and brain_mask"
            )
        if self.labels != "binary" and self.adapter != "ucsf_bmsr":
            raise ValueError(
                f"labels = '{self.labels}' belongs to adapter ucsf_bmsr, not to {self.adapter}; leave it out"
            )
        clash = set(self.label_map or ()) & set(self.ignore_labels)
        if clash:
            raise ValueError(f"label values both mapped and ignored: {sorted(clash)}")
        for value, target in (self.label_map or {}).items():
            if isinstance(target, int) and target < 0:
                raise ValueError("label_map maps to class indices, 0 or above, or to the plan's labels by name")
            if target == ():
                raise ValueError(f"label_map: {value} = [] names no label; put {value} into ignore_labels instead")
        return self


class RuntimeSection(Frozen):
    """How to run, never what is computed: left out of every fingerprint."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raises ConfigError naming file, line and column."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin with a byte order mark
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def validate(record: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """Check values against a schema; raises ConfigError with every fault of the file in one line."""
    try:
        return record.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults = "; ".join(_describe(fault) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}") from None


def _describe(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"]) or "(top level)"
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{place}'"
    if fault["type"] == "missing":
        return f"'{place}' is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if isinstance(fault["input"], dict):
        return f"'{place}': {message}"
    return f"'{place}': {message}, got {fault['input']!r}"


def expand_variables(text: str, where: str) -> str:
    """Expand environment variables, $NAME and ${NAME}.

    Raises:
        ConfigError: a variable is not set; named, with the place it stands.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise ConfigError(f"{where}: environment variable {name} is not set; export {name}=PATH first")
        return os.environ[name]

    return _VARIABLE.sub(value_of, text)


def expand_path(text: str, base: Path, where: str) -> Path:
    """Expand environment variables and make the path absolute, relative to `base`.

    Raises:
        ConfigError: a variable is not set; named, with the place it stands.
    """
    expanded = Path(expand_variables(text, where))
    try:
        expanded = expanded.expanduser()
    except RuntimeError:
        raise ConfigError(f"{where}: {text!r}: there is no such user's home; write the path out") from None
    return Path(os.path.normpath(expanded if expanded.is_absolute() else base / expanded))


def expand_paths(values: dict[str, Any], keys: tuple[str, ...], base: Path, where: str) -> dict[str, Any]:
    """A copy of a section in which the named string values are expanded paths."""
    return {
        key: str(expand_path(value, base, f"{where}.{key}")) if key in keys and isinstance(value, str) else value
        for key, value in values.items()
    }
