"""SITE_DIR/site.toml: what a hospital alone decides. Nothing of it ever travels."""

from pathlib import Path
from typing import Annotated, Any, Never

from pydantic import Field, field_validator

from client.proxy import read_proxy
from common.config import DataSection, expand_path, expand_variables, read_toml, validate
from common.durable import write_durably
from common.errors import ConfigError
from common.schema import Frozen

SITE_FILE = "site.toml"
_DATA_PATHS = ("root", "spreadsheet")

TEMPLATE = """\
# What this hospital alone decides. Nothing in this file ever leaves it.
# Relative paths are relative to this file; ${VARIABLES} of the environment are expanded.
# Fill in [data], then run: fedmets-site check SITE_DIR

device = "auto"                  # "auto": a GPU where there is one; or "cpu", "cuda:0", ...
# proxy = "http://proxy.example.org:3128"            # the hospital's HTTPS proxy, if the way out is through one
# proxy = "http://user:${PROXY_PASSWORD}@proxy.example.org:3128"
# supernode_user = "fedmets-net"  # the user that faces the network and cannot read the data
# supernode_port = 0              # loopback port between SuperNode and worker; 0 takes a free one

# [folders]
# cache = "cache"                 # prepared cases; about 50 MB each

# [data]
# adapter = "nifti_folders"       # a folder per patient; or "ucsf_bmsr", "brats_mets", which need only root
# root = "/data/metastases"
# sequences = { t1c = "T1c*.nii.gz", flair = "Flair*.nii.gz" }
# label = "seg.nii.gz"
# label_map = { 1 = 1, 3 = 1, 4 = 1 }   # value in the file = class of the plan, or ["netc", "et"] drawn as one
# ignore_labels = [2]
# unannotated = ["snfh"]                # labels of the plan that nobody here drew
"""


class Folders(Frozen):
    """Where a site keeps what it can make again.

    Attributes:
        cache: prepared cases.
    """

    cache: Path


class SiteConfig(Frozen):
    """A hospital's own configuration, paths absolute.

    Attributes:
        data: where the cases lie and how to read them, as in an experiment file.
        device: where networks run.
        proxy: the HTTPS proxy on the way to the gateway; it may hold a password, so it is never shown.
        folders: places on disk.
        supernode_user: the user that the process facing the network runs as; None for the worker's own.
        supernode_port: loopback port of the SuperNode's Runtime API; 0 takes a free one.
    """

    data: DataSection
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    proxy: Annotated[str | None, Field(repr=False)] = None
    folders: Folders
    supernode_user: Annotated[str | None, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = None
    supernode_port: Annotated[int, Field(ge=0, le=65535)] = 0

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, text: str | None) -> str | None:
        if text is not None:
            read_proxy(text)
        return text

    def to_json(self) -> Never:
        """Refuse: a site's own configuration stands in no message, commit or fingerprint."""
        raise TypeError("site.toml never travels, so it has no JSON form")


def load_site_config(folder: Path) -> SiteConfig:
    """Read SITE_DIR/site.toml.

    Raises:
        ConfigError: one line with every fault found, unset environment variables included.
    """
    path = folder / SITE_FILE
    if not path.exists():
        raise ConfigError(f"{path}: no such file; run fedmets-site request, which writes one to fill in")
    values = read_toml(path)
    if "data" not in values:
        raise ConfigError(f"{path}: 'data' is missing; fill in the section [data], which says where the cases lie")
    faults = _expand(values, path.resolve().parent)
    try:
        config = validate(SiteConfig, values, str(path))
    except ConfigError as error:
        hidden = str(error).replace(repr(values.get("proxy")), "a value not shown here")  # it may hold a password
        raise ConfigError("; ".join([hidden, *faults])) from None
    if faults:
        raise ConfigError(f"{path}: {'; '.join(faults)}")
    return config


def write_template(folder: Path) -> None:
    """Put a commented site.toml into a site's folder, unless there is one; raises StorageError."""
    path = folder / SITE_FILE
    if not path.exists():
        write_durably(path, TEMPLATE.encode())


def _expand(values: dict[str, Any], base: Path) -> list[str]:
    """Expand paths and variables in place, and the default cache; returns the faults instead of raising."""
    faults: list[str] = []
    folders = values.setdefault("folders", {})
    if isinstance(folders, dict):
        folders.setdefault("cache", "cache")
    for section, keys in (("data", _DATA_PATHS), ("folders", ("cache",))):
        table = values[section]
        if not isinstance(table, dict):
            continue  # the schema will say so
        for key in keys:
            if isinstance(table.get(key), str):
                try:
                    table[key] = str(expand_path(table[key], base, f"{section}.{key}"))
                except ConfigError as error:
                    faults.append(str(error))
    if isinstance(values.get("proxy"), str):
        try:
            values["proxy"] = expand_variables(values["proxy"], "proxy")
        except ConfigError as error:
            faults.append(str(error))
            del values["proxy"]
    return faults
