"""A machine with a systemd of its own, in a container without a network: root's commands are typed at its boot.

Nothing of this machine can be written from within: its root is a folder that the test makes, and programs,
packages and documents are bound into it for reading.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
INSTALLED = Path("/opt/fedmets")  # as the units have it
PATIENCE_S = 240.0
_PYTHON, _PACKAGES = "/opt/python", "/opt/packages"
_SCRIPTS = ("fedmets-server", "fedmets-site", "flower-superlink", "flower-superexec", "flower-supernode", "flwr")
_BOUND = ("client", "common", "docs", "server", "simulation")
_NO_MACHINE = ("systemd-networkd-wait-online", "systemd-udevd", "systemd-udev-trigger", "systemd-journal-flush")
_TYPED = """\
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
WorkingDirectory=/root
StandardOutput=file:/said.txt
StandardError=inherit
ExecStart=/bin/bash /typed.sh
ExecStopPost=/bin/systemctl --no-block --force exit
"""


def needs_root_and_nspawn() -> pytest.MarkDecorator:
    here = shutil.which("systemd-nspawn") is not None and os.geteuid() == 0
    return pytest.mark.skipif(not here, reason="needs systemd-nspawn, and root to run it")


def make_machine(root: Path) -> None:
    """Its root folder, with fedmets installed in /opt/fedmets and nobody but root."""
    for folder in ("etc/systemd/system", "home", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n")
    (root / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    shutil.copyfile("/usr/lib/os-release", root / "etc" / "os-release")
    units = root / "etc" / "systemd" / "system"
    (units / "typed.service").write_text(_TYPED)
    for name in _NO_MACHINE:
        (units / f"{name}.service").symlink_to("/dev/null")
    settings = f"[Manager]\nDefaultEnvironment=LD_LIBRARY_PATH={_PYTHON}/lib\n"
    (units.parent / "system.conf").write_text(settings)
    _install(root / INSTALLED.relative_to("/") / ".venv")


def type_at_boot(root: Path, script: str) -> str:
    """What the script's commands said, after the machine has shut down; skips the test where none boots."""
    (root / "typed.sh").write_text(script)
    bound = {str(REPOSITORY / name): str(INSTALLED / name) for name in _BOUND}
    bound |= {"/usr": "/usr", sys.base_prefix: _PYTHON, str(_site_packages()): _PACKAGES}
    command = ["systemd-nspawn", "--quiet", f"--directory={root}", "--private-network", "--link-journal=no"]
    command += ["--register=no", "--console=pipe", *(f"--bind-ro={here}:{there}" for here, there in bound.items())]
    command += [] if Path("/run/systemd/system").exists() else ["--keep-unit"]  # nobody here to ask for a unit
    with _no_control_groups_left():
        done = subprocess.run(
            [*command, "--boot", "--", "--unit=typed.service", "--log-target=null", "--show-status=no"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    said = root / "said.txt"
    if not said.exists():
        pytest.skip(f"no systemd boots here: {(done.stderr or done.stdout).strip()[-300:]}")
    return said.read_text()


def _install(place: Path) -> None:
    """This interpreter's packages as a virtual environment at the unit's path."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "fedmets.pth").write_text(f"{INSTALLED}\n{_PACKAGES}\n")
    (place / "pyvenv.cfg").write_text(f"home = {_PYTHON}/bin\n")
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(f"{_PYTHON}/bin/{version}")
    for name in _SCRIPTS:
        _, _, body = (Path(sys.executable).parent / name).read_text().partition("\n")
        (place / "bin" / name).write_text(f"#!{INSTALLED}/.venv/bin/python\n{body}")
        (place / "bin" / name).chmod(0o755)


def _site_packages() -> Path:
    return Path(pytest.__file__).parents[1]


@contextmanager
def _no_control_groups_left() -> Iterator[None]:
    """Take away the control groups that come in between: nspawn leaves them to the manager, if there is one."""
    before = _control_groups()
    try:
        yield
    finally:
        for group in sorted(_control_groups() - before, reverse=True):  # what is within comes first
            with contextlib.suppress(OSError):
                group.rmdir()


def _control_groups() -> set[Path]:
    found = (Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup"))  # passes over what is gone meanwhile
    return {path for path in found if {"payload", "supervisor"} & set(path.parts)}
