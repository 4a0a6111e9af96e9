from pathlib import Path

import pytest

from client.freshness import Begun, read_begun
from common.errors import EnrollmentError


def test_a_damaged_list_of_tasks_is_no_empty_one(tmp_path: Path) -> None:
    """Else whoever can spoil the file could have old tasks done again."""
    assert read_begun(tmp_path) == Begun()
    (tmp_path / "tasks.json").write_text('{"nonces": [')
    with pytest.raises(EnrollmentError, match="can no longer be told from a new one; restore the file"):
        read_begun(tmp_path)
