from collections.abc import Iterator

import pytest

from tests.server.fleet import Fleet, fleet_at


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One SuperLink for all tests of what stands in front of it."""
    with fleet_at(tmp_path_factory.mktemp("fleet")) as started:
        yield started
