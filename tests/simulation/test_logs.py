import logging
from pathlib import Path

import pytest

from simulation.logs import LOG_FILE, log_to


def test_errors_of_the_sites_code_go_to_the_file_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log_to(tmp_path / LOG_FILE)
    try:
        logging.getLogger("client.round").warning("round 1: refused")
        assert not (tmp_path / LOG_FILE).exists()
        logging.getLogger("client.round").error("round 1 at site west failed")
        logging.getLogger("server.rounds").error("of another part")
    finally:
        log_to(None)
    assert (tmp_path / LOG_FILE).read_text(encoding="utf-8").endswith("ERROR round 1 at site west failed\n")
    assert caplog.messages == ["of another part"]
    logging.getLogger("client.round").error("afterwards")
    assert caplog.messages[-1] == "afterwards"
    assert capsys.readouterr().out == ""
