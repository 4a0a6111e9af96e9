"""What the user got wrong is refused in one line that says what, where and what to do, and nothing is trained."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.cli import run_app
from simulation.cli import app
from tests.end_to_end.tiny import PHANTOMS, Edit, data_config, phantom_config

NO_DATA: Edit = (PHANTOMS, "")
FOLDERS = 'adapter = "nifti_folders"\nsequences = { t1c = "T1c*", flair = "Flair*" }\nroot = '


def refused(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int = 2) -> str:
    """Run the command; its one line on stderr."""
    assert run_app(app, "fedmets-sim", [str(argument) for argument in argv]) == code
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert (captured.out, len(lines)) == ("", 1), captured
    assert lines[0].startswith("fedmets-sim: error: ")
    assert "unexpected" not in lines[0]
    return lines[0].removeprefix("fedmets-sim: error: ")


CONFIGURATIONS: dict[str, tuple[Sequence[Edit], Sequence[str]]] = {
    "unknown key": ([("rounds = 3", "rounds = 3\nround = 4")], ["unknown key 'federation.round'"]),
    "unknown section": ([("[model]", "[network]")], ["unknown key 'network'"]),
    "wrong type": ([("rounds = 3", 'rounds = "three"')], ["'federation.rounds'", "valid integer, got 'three'"]),
    "a fraction of a step": ([("steps = 2", "steps = 2.5")], ["'training.steps'", "got 2.5"]),
    "negative rounds": ([("rounds = 3", "rounds = -3")], ["'federation.rounds'", "greater than", "got -3"]),
    "every fault at once": (
        [("rounds = 3", "rounds = -3\nround = 4"), ("steps = 2", "steps = 0"), ("seed = 3", "seed = -1")],
        ["'federation.rounds'", "unknown key 'federation.round'", "'training.steps'", "'seed'"],
    ),
    "a key left out": ([('name = "tiny"', "")], ["'name' is missing"]),
    "not TOML": ([("[federation]", "[federation")], ["not valid TOML", "line"]),
    "no source of data": ([NO_DATA], ["give either [data] (your own cases) or [phantom]"]),
    "two sources of data": (
        [("[model]", f'[data]\n{FOLDERS}"x"\n\n[model]')],
        ["give either [data]", "one of them"],
    ),
    "not a section": ([("seed = 3", "seed = 3\npartition = 3")], ["'partition' must be a table", "got 3"]),
    "unknown sequence": ([('"flair"]', '"flare"]')], ["'sequences.1'", "'t1c'", "got 'flare'"]),
    "a sequence twice": ([('"flair"]', '"t1c"]')], ["sequences holds a name twice: ['t1c', 't1c']"]),
    "a patch that cannot be halved": (
        [("[16, 16, 16]", "[15, 16, 16]")],
        ["patch_size", "instead of 15 take 14 or 16"],
    ),
    "too few levels": ([("unet_small", "unet")], ["unet needs 3 channels at least, got [4, 8]"]),
    "nobody left to train": ([("test = 0.3", "test = 0.9")], ["test + validation = 1 leaves nobody to train on"]),
    "no such root": (
        [(PHANTOMS, f'[data]\n{FOLDERS}"no-such-folder"\n')],
        ["no-such-folder: no such folder", "root"],
    ),
    "empty root": ([(PHANTOMS, f'[data]\n{FOLDERS}"empty"\n')], ["empty: the folder is empty", "correct root"]),
    "root without images": (
        [(PHANTOMS, f'[data]\n{FOLDERS}"others"\n')],
        ["others: no usable case found (1 missing-sequence)", "check the layout"],
    ),
    "unset variable in root": (
        [(PHANTOMS, f'[data]\n{FOLDERS}"${{FEDMETS_NEVER_SET}}/cases"\n')],
        ["data.root: environment variable FEDMETS_NEVER_SET is not set", "export FEDMETS_NEVER_SET=PATH"],
    ),
    "no such table": ([("[model]", '[partition]\nkind = "table"\nfile = "no.csv"\n\n[model]')], ["no.csv"]),
    "too many sites": (
        [("[model]", '[partition]\nkind = "iid"\nsites = 11\n\n[model]')],
        ["sites = 11", "ask for fewer"],
    ),
    "unknown device": ([("[model]", '[runtime]\ndevice = "tpu"\n\n[model]')], ["'runtime.device'", "got 'tpu'"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_is_refused(
    name: str, tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edits, said = CONFIGURATIONS[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "others" / "patient").mkdir(parents=True)
    on_disk = name in ("no such table", "too many sites")  # those need cases: not drawn anew for a refusal
    config = data_config(tmp_path, cohort, *edits) if on_disk else phantom_config(tmp_path, *edits)
    line = refused(capsys, "run", config, "--out", tmp_path / "out")
    assert all(text in line for text in said), line
    assert not (tmp_path / "out" / "rounds").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such configuration file; check the path"),
        ("folder", "cannot read the configuration"),
        (b"\xff\xfe\x00", "cannot read the configuration"),
    ],
)
def test_an_unreadable_configuration_is_refused(
    content: str | bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    line = refused(capsys, "run", path, "--out", tmp_path / "out")
    assert line.startswith(str(path)) and said in line


COMMAND_LINES: dict[str, str] = {
    "no such command 'runn'. Did you mean 'run'?": "runn",
    "missing command": "",
    "missing option '--out'": "run CONFIG",
    "missing argument 'CONFIG'": "run --out OUT",
    "no such option: --rounds": "run CONFIG --out OUT --rounds 3",
    "--arms 'central': choose from federated, local, pooled": "run CONFIG --out OUT --arms central",
    "--arms ',': choose from": "run CONFIG --out OUT --arms ,",
    "invalid value for '--seed': -1": "run CONFIG --out OUT --seed -1",
    "invalid value for '--workers': 0": "run CONFIG --out OUT --workers 0",
    "invalid value for '--seeds': 1": "study CONFIG --out OUT --seeds 1",
    "is a file, not a folder; choose another --out": "run CONFIG --out CONFIG",
    "cannot be written (Not a directory); choose another --out": "run CONFIG --out CONFIG/out",
    "not empty and not made by fedmets-sim (holds notes.txt)": "run CONFIG --out FOREIGN",
}


@pytest.mark.parametrize("said", COMMAND_LINES)
def test_a_command_line_is_refused(said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").touch()
    line = COMMAND_LINES[said].replace("CONFIG", str(phantom_config(tmp_path)))
    line = line.replace("OUT", str(tmp_path / "out")).replace("FOREIGN", str(foreign))
    assert said in refused(capsys, *line.split())
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]


def test_a_corrected_configuration_may_use_the_same_folder(
    tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    refused(capsys, "run", data_config(tmp_path, tmp_path / "no-such-folder"), "--out", out)
    assert run_app(app, "fedmets-sim", ["partition", str(data_config(tmp_path, cohort)), "--out", str(out)]) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", folder):
        pytest.skip("mounting a small file system needs more rights")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # the prepared cases are still mapped


def _mount(*arguments: str | Path) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk_is_said_and_a_resume_goes_on(
    tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["run", str(phantom_config(tmp_path)), "--out", str(small_disk / "out"), "--arms", "federated"]
    assert run_app(app, "fedmets-sim", argv) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"fedmets-sim: error: {small_disk / 'out'}")
    assert "space" in last
    assert _mount("-o", "remount,size=64m", small_disk)
    assert run_app(app, "fedmets-sim", argv) == 0
