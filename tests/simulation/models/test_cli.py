import json

import pytest

from common.cli import run_app
from common.plan import ModelSpec
from simulation.cli import app
from simulation.models.trial import Settings, StepFigures


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures without a measurement: 64 cubed takes 1.5 s and 1.2 GB, more does not fit."""

    def figures(spec: ModelSpec, edge: int, settings: Settings) -> StepFigures:
        if edge > 64:
            return StepFigures(edge, "does-not-fit", text="needs about 9.0 GB, 2.0 GB were allowed")
        return StepFigures(edge, "measured", 1.5, 1_200_000_000, 1_300_000_000)

    monkeypatch.setattr("simulation.models.trial.measure_step", figures)


def test_the_table_says_what_each_network_costs_and_what_does_not_fit(
    measured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, "fedmets-sim", ["models", "--device", "cpu", "--name", "vnet", "--name", "unet"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split("  ")[0] == "network"
    assert [line.split()[:2] for line in lines[1:3]] == [["unet", "31,192,068"], ["vnet", "45,615,536"]]
    assert lines[1].endswith("125 MB   62 MB    32 MB  1.5 s, 1.2 GB  does not fit")
    assert "unet, 128 cubed: needs about 9.0 GB, 2.0 GB were allowed" in lines
    assert "vnet, 64 cubed: 1.5 s, 1.2 GB" in captured.err


def test_json_alone_is_on_stdout(measured: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["models", "--device", "cpu", "--name", "unet", "--patch", "64", "--json"]
    assert run_app(app, "fedmets-sim", arguments) == 0
    told = json.loads(capsys.readouterr().out)
    (network,) = told["networks"]
    assert network["parameters"] == 31_192_068
    assert network["update_bytes"] == {"float32": 124_768_272, "float16": 62_384_136, "int8": 32_166_821}
    assert network["steps"][0]["peak_bytes"] == 1_200_000_000
    assert (told["in_channels"], told["settings"]["threads"]) == (4, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "resnet"], "--name resnet: no such network; choose from unet, unet_small, unet_resenc"),
        (["--patch", "64,x"], "--patch '64,x': give edges in voxels"),
        (["--patch", "0"], "give edges in voxels"),
        (["--device", "cuda:99"], "device 'cuda:99': torch finds"),
    ],
)
def test_other_arguments_are_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-sim", ["models", *arguments]) == 2
    assert words in capsys.readouterr().err
