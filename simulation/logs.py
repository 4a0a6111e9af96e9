"""What the sites' own code logs goes to one file of the run, not to the terminal."""

import logging
from pathlib import Path

LOG_FILE = "sites.log"
_SITES_CODE = "client"


def log_to(path: Path | None) -> None:
    """Append this process's log of the sites' code to a file, made with the first line; None ends that.

    A site's failure is told to the federation as a code alone. Its text, which may hold a path or a patient's
    name, stays in the house, and in a simulation the house is the run's folder.
    """
    logger = logging.getLogger(_SITES_CODE)
    for handler in tuple(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = path is None
    if path is not None:
        handler = logging.FileHandler(path, delay=True, encoding="utf-8")
        handler.setLevel(logging.ERROR)  # a refusal's code says enough, and the cases put aside are told of
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
