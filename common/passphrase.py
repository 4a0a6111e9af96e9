"""Where a passphrase comes from: a file, an environment variable that names the file, or a person at a terminal.

Never an argument or an environment variable itself: those show in the list of processes and in logs.
"""

import getpass
import os
import sys
from pathlib import Path

from common.errors import KeyFileError
from common.keyfiles import is_locked, read_private_file
from common.sealed import Passphrase

VARIABLE = "FEDMETS_PASSPHRASE_FILE"


def given_passphrase(file: Path | None) -> Passphrase | None:
    """The passphrase in the option's file or in the one that FEDMETS_PASSPHRASE_FILE names; None without both.

    A line end at the end of the file does not count. Raises KeyFileError when others can read the file.
    """
    named = os.environ.get(VARIABLE)
    path = file if file is not None else Path(named) if named else None
    return None if path is None else Passphrase(read_private_file(path).rstrip(b"\r\n"))


def passphrase_for(key: Path, file: Path | None) -> Passphrase | None:
    """The passphrase for one key: None when the key is not locked, else given, else asked for.

    Raises:
        KeyFileError: the key is locked, none is given and there is no terminal to ask at.
    """
    if not is_locked(key):
        return None
    given = given_passphrase(file)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise KeyFileError(
            f"{key}: locked by a passphrase and there is no terminal to ask at; give --passphrase-file FILE "
            f"or set {VARIABLE}=FILE"
        )
    return Passphrase(getpass.getpass(f"Passphrase for {key}: ").encode())
