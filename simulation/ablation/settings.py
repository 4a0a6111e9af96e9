"""A row's settings as dotted names, put over the values of an experiment file."""

import copy
from collections.abc import Mapping
from typing import Any

from common.errors import ConfigError


def with_settings(values: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of the values with every setting in its place.

    `training.loss` is the key `loss` of the table `training`, which is made where there is none. In a list of
    tables a part of the name stands for the table of that `name`: `phantom.sites.west.missing`. What the last
    part is called is not looked at here: the experiment's schema refuses an unknown key.

    Args:
        values: of the experiment file, as read; left as they are.
        settings: value by dotted name.
        where: begins the message of an error.

    Raises:
        ConfigError: a name leads through something that is no table, or to a table that a list does not hold.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(values))
    for name, value in settings.items():
        *tables, key = name.split(".")
        _table(changed, tables, f"{where}: '{name}'")[key] = value
    return changed


def _table(values: dict[str, Any], parts: list[str], where: str) -> dict[str, Any]:
    table: Any = values
    for part in parts:
        if isinstance(table, list):
            named = {one.get("name"): one for one in table if isinstance(one, dict)}
            if part not in named:
                known = ", ".join(str(name) for name in named) or "none"
                raise ConfigError(f"{where}: there is no table named {part!r} (there are: {known})")
            table = named[part]
        else:
            table = table.setdefault(part, {})
        if not isinstance(table, dict | list):
            raise ConfigError(
                f"{where}: '{part}' is no table but {table!r}; name a setting by its sections and key"
            )
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: '{parts[-1]}' is a list of tables; say which by its name, and then the key")
    return table
