"""The four packages have everyday names; no other distribution may ship one of them.

pip does not mind two distributions with a package `client`: the later one overwrites files of the earlier, or
comes first on the path. Either way a hospital would run code that it never meant to install.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from common.errors import UserError

DISTRIBUTION = "fedmets"
PACKAGES = ("common", "server", "client", "simulation")
_ADVICE = "install fedmets in a virtual environment of its own"


def check_packages(shipped: Mapping[str, Sequence[str]] | None = None) -> None:
    """Return when all four packages are fedmets' own.

    Args:
        shipped: distributions by the package they ship; as installed when not given.

    Raises:
        UserError: another distribution ships one of them, or one lies elsewhere than the rest; it is named.
    """
    shipped = _installed() if shipped is None else shipped
    home = Path(__file__).resolve().parents[1]
    for package in PACKAGES:
        others = sorted(set(shipped.get(package, ())) - {DISTRIBUTION})
        if others:
            raise UserError(f"package '{package}' is shipped by {', '.join(others)} too; {_ADVICE}")
        spec = find_spec(package)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parents[1] != home:
            raise UserError(f"package '{package}' is found at {origin}, not in {home}; {_ADVICE}")


@cache
def _installed() -> Mapping[str, Sequence[str]]:
    """Reads every distribution's list of files, 0.2 s, so once a process."""
    return packages_distributions()
