"""The four everyday package names belong to fedmets alone."""

import sys
from pathlib import Path

import pytest

from common.errors import UserError
from common.packages import PACKAGES, check_packages


def test_this_environment_has_no_other_distribution_of_these_names() -> None:
    check_packages()


@pytest.mark.parametrize("package", PACKAGES)
def test_another_distribution_of_a_name_is_refused(package: str) -> None:
    check_packages({package: ["fedmets"]})
    with pytest.raises(UserError, match=f"package '{package}' is shipped by other-client too"):
        check_packages({package: ["fedmets", "other-client"]})


def test_a_package_from_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "simulation").mkdir()
    (tmp_path / "simulation" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "simulation", raising=False)
    with pytest.raises(UserError, match=f"package 'simulation' is found at {tmp_path}"):
        check_packages({})
