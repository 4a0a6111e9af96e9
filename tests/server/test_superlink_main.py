import gc
import subprocess
import sys

ASK = """
import gc
from sqlalchemy import create_engine, text
from server.superlink_main import tune
tune()
with create_engine("sqlite://").connect() as connection:
    print(connection.execute(text("PRAGMA secure_delete")).scalar_one(), gc.get_threshold()[0])
"""


def test_what_superlink_deletes_is_not_written_again_and_the_collector_looks_less_often() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=300.0, check=True)
    secure_delete, objects = (int(value) for value in done.stdout.split())
    assert secure_delete == 2  # FAST
    assert objects > 10 * gc.get_threshold()[0]
