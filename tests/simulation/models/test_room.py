from pathlib import Path

import pytest

from client.machine import Memory
from simulation.models.room import peak_resident_bytes, resident_bytes, room_bytes


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        ("max", "7000", 9_000_000),  # no container: nine tenths of what the machine has
        ("5000000", "1000000", 3_600_000),
        ("5000000", "6000000", 0),
        (str(2**63 - 4096), "7000", 9_000_000),
    ],
)
def test_a_containers_limit_counts_where_it_is_lower(
    limit: str, used: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulation.models.room.main_memory", lambda: Memory(20_000_000, 10_000_000))
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert room_bytes(tmp_path) == expected


def test_a_process_knows_what_it_holds() -> None:
    assert 10_000_000 < resident_bytes() <= peak_resident_bytes()
