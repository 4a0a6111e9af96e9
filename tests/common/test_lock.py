import fcntl
from pathlib import Path

import pytest

from common.errors import EnrollmentError
from common.lock import exclusive, is_held


def test_a_folder_is_held_by_one_and_for_as_long_as_that_one_holds_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "never made") and not is_held(tmp_path)
    with exclusive(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(EnrollmentError, match="another fedmets command is at work"), exclusive(tmp_path):
            pass
    assert not is_held(tmp_path)


def test_who_asks_is_not_taken_for_a_holder(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        pass
    with (tmp_path / ".lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not is_held(tmp_path)
