"""`fedmets-site segment` as a hospital's engineer meets it: what it prints, and one line for each refusal."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from client.cli import app
from common.cli import run_app
from tests.client.segmentation_case import LESION_MM3, scan, threshold_network, write_trick_release

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    write_trick_release(folder / "run" / "model")
    scan(folder / "t1c.nii.gz", "LPS")
    scan(folder / "flair.nii.gz", "LAS", (2.0, 2.0, 4.0))
    scan(folder / "skull.nii.gz", skull=True)
    return folder


@pytest.fixture
def folder(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a model, a case and a few spoilt files; deleted and edited at will."""
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("common.model.weights.new_network", threshold_network)
    return tmp_path


@pytest.fixture
def segment(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `segment` on the good case with some options replaced: flair="other.nii.gz", or None to leave out."""

    def run(*extra: str, model: str = "run/model", **replaced: str | None) -> tuple[int, str, str]:
        options = {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz", "out": "mask.nii.gz"} | replaced
        out = options.pop("out")
        images = [f"--image={name}={path}" for name, path in options.items() if path is not None]
        code = run_app(app, "fedmets-site", ["segment", model, *images, f"--out={out}", *extra])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_summary_says_what_was_found_and_what_it_is_not(segment: Command, folder: Path) -> None:
    code, out, err = segment("--threads", "1", "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.startswith("mask.nii.gz: 1 lesion, ")
    assert out.endswith("research software, not a medical device\n")
    assert (folder / "mask.nii.gz").exists()


def test_json_is_one_object(segment: Command) -> None:
    code, out, err = segment("--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["total_volume_mm3"] == pytest.approx(LESION_MM3, rel=0.2)
    assert [lesion["label"] for lesion in result["lesions"]] == ["tumour"]
    assert len(result["model_sha256"]) == 64


def refused(answer: tuple[int, str, str]) -> str:
    code, out, err = answer
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("fedmets-site: error: ")
    return err


@pytest.mark.parametrize(
    ("replaced", "text"),
    [
        ({"flair": None}, "no image of sequence 'flair': this model reads t1c, flair; add --image flair=PATH"),
        ({"t2": "flair.nii.gz"}, "sequence 't2' (flair.nii.gz) is one too many"),
        ({"flair": "nowhere.nii.gz"}, "nowhere.nii.gz: no such image file"),
        ({"flair": "t1c.nii.gz"}, "given both as t1c and as flair"),
        ({"flair": "run/model/plan.json"}, "plan.json: cannot be read as NIfTI"),
        ({"flair": ""}, "--image flair=: not of the form NAME=PATH"),
        ({"out": "nowhere/mask.nii.gz"}, "nowhere: no such folder for the output mask.nii.gz; create it first"),
        ({"out": "mask.png"}, "mask.png: output image must end in .nii or .nii.gz"),
        ({"out": "flair.nii.gz"}, "flair.nii.gz: is an input image and would be overwritten"),
        ({"out": "link.nii.gz"}, "link.nii.gz: is an input image and would be overwritten"),
        ({"out": "run/model/mask.nii.gz"}, "lies in the model's folder run/model"),
        ({"model": "run"}, "did you mean run/model?"),
        ({"model": "nowhere"}, "nowhere: no such model folder"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    segment: Command, folder: Path, replaced: dict[str, str | None], text: str
) -> None:
    (folder / "link.nii.gz").symlink_to("flair.nii.gz")
    before = (folder / "flair.nii.gz").read_bytes()
    assert text in refused(segment(**replaced))
    assert (folder / "flair.nii.gz").read_bytes() == before
    assert not (folder / "mask.nii.gz").exists()


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        (["--image=flair=flair.nii.gz"], "sequence 'flair' is given twice"),
        (["--probability=mask.nii.gz"], "mask.nii.gz: named for two outputs"),
        (["--brain-mask=nowhere.nii.gz"], "nowhere.nii.gz: no such image file"),
        (["--brain-mask-command=hd-bet -i {image}"], "has no {mask}"),
        (["--brain-mask-command=hd-bet 'x"], "check the quotes"),
        (["--device=gpu"], "device 'gpu' is not known; choose auto, cpu, cuda or cuda:N"),
        (["--device=cuda:99"], "choose auto or cpu"),
        (["--threads=0"], "0 is not in the range"),
    ],
)
def test_wrong_options_are_refused_in_one_line(segment: Command, extra: list[str], text: str) -> None:
    assert text in refused(segment(*extra))


def test_changed_model_is_refused_with_both_hashes(segment: Command, folder: Path) -> None:
    weights = folder / "run" / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert "model.safetensors: changed since its release: manifest.json says sha256" in refused(segment())


def test_sequences_of_different_places_are_refused(segment: Command, folder: Path) -> None:
    image = nib.load(folder / "flair.nii.gz")
    affine = image.affine.copy()
    affine[:3, 3] += 400.0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), folder / "far.nii.gz")
    assert "flair and t1c share 0% of their space (far.nii.gz)" in refused(segment(flair="far.nii.gz"))


def test_truncated_image_is_refused_by_name(segment: Command, folder: Path) -> None:
    (folder / "short.nii.gz").write_bytes((folder / "flair.nii.gz").read_bytes()[:2000])
    assert "short.nii.gz: the file ends early; copy it again" in refused(segment(flair="short.nii.gz"))


def test_images_with_a_skull_need_a_mask_and_the_options_are_named(segment: Command, folder: Path) -> None:
    shutil.copy(folder / "skull.nii.gz", folder / "skull_flair.nii.gz")
    line = refused(segment(t1c="skull.nii.gz", flair="skull_flair.nii.gz"))
    assert "skull.nii.gz is not skull-stripped" in line
    assert "--brain-mask PATH, or --brain-mask-command" in line
    assert "[data]" not in line


def test_brain_mask_command_that_is_not_installed_is_named(segment: Command, folder: Path) -> None:
    shutil.copy(folder / "skull.nii.gz", folder / "skull_flair.nii.gz")
    line = refused(
        segment(
            "--brain-mask-command=no-such-stripper {image} {mask}", t1c="skull.nii.gz", flair="skull_flair.nii.gz"
        )
    )
    assert "cannot start no-such-stripper" in line


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, "fedmets-site", ["segment", "--help"]) == 0
    assert "fedmets-site segment runs/demo/model" in capsys.readouterr().out
