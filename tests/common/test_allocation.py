import os
import platform
import subprocess
import sys

import pytest

from common.allocation import for_carrying, for_training

JOINED = """
import resource, threading
piece = bytes(8 << 20)
def receive():
    pieces = [b"".join(piece[:1 << 20] for _ in range(8)) for _ in range(4)]
    bytes(bytearray().join(pieces))
for _ in range(6):
    worker = threading.Thread(target=receive)
    worker.start()
    worker.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(environment: dict[str, str]) -> int:
    command = [sys.executable, "-c", JOINED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60.0, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_memory_for_pieces_of_a_model_is_used_again() -> None:
    plain = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    assert page_faults(for_carrying(plain)) < 0.25 * page_faults(plain)


def test_settings_of_the_machine_s_own_stay() -> None:
    assert for_carrying({"GLIBC_TUNABLES": "glibc.malloc.check=1"})["GLIBC_TUNABLES"] == "glibc.malloc.check=1"


def test_a_training_process_started_by_one_that_carries_has_settings_of_its_own() -> None:
    assert for_training(for_carrying({"HOME": "h"})) == for_training({"HOME": "h"})
    assert for_training({"GLIBC_TUNABLES": "glibc.malloc.check=1"})["GLIBC_TUNABLES"] == "glibc.malloc.check=1"
