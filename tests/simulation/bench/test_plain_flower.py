import json
import os
import sys
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from flwr.cli.build import build_fab_from_disk

from common.certificates import Holder, Role, read_authority, read_certificate
from common.errors import FedmetsError
from common.launching import Launched, Program, launch
from common.plan import ModelSpec
from common.processes import with_variable
from simulation.bench.plain_flower import PlainFlower, run
from simulation.bench.plain_setup import Scratch, superlink_argv, supernode_argv, write_app, write_certificates
from simulation.bench.plain_watch import Line, Trial, await_line
from simulation.bench.relay import Traffic

TINY = ModelSpec(name="unet_small", channels=(8, 16))


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
def test_the_app_is_one_that_flower_builds(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 18000)
    write_app(scratch, sites=4, rounds=3)
    assert b"plain_app/client_app.py" in build_fab_from_disk(scratch.app)
    config = tomllib.loads((scratch.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert (config["sites"], config["rounds"], config["model"]) == (4, 3, str(tmp_path / "model.safetensors"))
    assert sorted(path.name for path in (scratch.app / "plain_app").iterdir()) == [
        "__init__.py",
        "client_app.py",
        "server_app.py",
    ]
    connection = tomllib.loads((tmp_path / "config.toml").read_text())["superlink"]
    assert connection[connection["default"]]["address"] == "127.0.0.1:18000"


def test_certificates_hold_for_loopback(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 18000)
    write_certificates(scratch)
    certificate = read_certificate((tmp_path / "server.crt").read_bytes())
    read_authority(scratch.authority.read_bytes()).check_issued(
        certificate, Holder("bench", Role.GATEWAY, "superlink")
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_nothing_of_flowers_is_tuned(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 18000)
    words = {*superlink_argv(scratch), *supernode_argv(scratch, 18001, 0)}
    assert not words & {"--isolation", "--insecure", "--database", "--enable-supernode-auth"}
    assert "127.0.0.1:18001" in words


def sleeping(scratch: Scratch, name: str) -> Launched:
    argv = (sys.executable, "-c", "import time; time.sleep(60)")
    return launch(Program(name, argv, dict(os.environ), scratch.log(name)), scratch.mark)


def test_a_round_is_read_as_the_serverapp_wrote_it(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 18000)
    lines = [{"round": n, "at_s": 10.0 + n, "replies": (0, 1, 1)[n], "peak_bytes": 5} for n in range(3)]
    scratch.lines.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    processes = tuple(sleeping(scratch, name) for name in ("superlink", "node-0"))
    try:
        trial = Trial(scratch, 1, processes, round_within_s=0.3, relay=None)
        assert [await_line(trial, number) for number in (0, 1)] == [
            Line(10.0, 5, Traffic(0, 0)),
            Line(11.0, 5, Traffic(0, 0)),
        ]
        with pytest.raises(FedmetsError, match="plain Flower, round 2: 1 replies so far, 2 expected"):
            await_line(trial, 2)
        with pytest.raises(FedmetsError, match=r"round 3: over 0\.3 s \(superlink: no message"):
            await_line(trial, 3)
        processes[0].kill()
        with pytest.raises(FedmetsError, match="round 3: it ended"):
            await_line(trial, 3)
    finally:
        for process in processes:
            process.kill()


def test_seconds_are_the_mean_of_the_rounds() -> None:
    bench = PlainFlower(2, 10, 1, (26.0, 28.0), superlink_peak_bytes=1, serverapp_peak_bytes=1)
    assert bench.seconds == 27.0


@pytest.mark.chaos
def test_a_small_model_goes_to_and_fro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bench = run(2, TINY, rounds=1, round_within_s=120.0, count_bytes=True)
    assert (bench.sites, bench.parameters, bench.tensors, len(bench.round_seconds)) == (2, 5956, 18, 1)
    assert bench.traffic is not None
    assert min(bench.traffic.up, bench.traffic.down) > 4 * 5956
    assert min(bench.superlink_peak_bytes, bench.serverapp_peak_bytes) > 50e6
    assert with_variable("FLWR_HOME", str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
