"""`fedmets-site segment` with several models, its map of disagreement, its clean-up and its picture."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from client.cli import app
from client.data.case import Case, PreparedCase
from client.data.preprocessing import Recipe, prepare
from common.cli import run_app
from common.plan import ModelSpec, Plan, PostprocessingSpec, PreprocessingSpec
from common.release import write_release
from common.weights import pack
from tests.client.segmentation_case import PLAN, scan, threshold_network

Command = Callable[..., tuple[int, str, str]]


def write_model(folder: Path, plan: Plan = PLAN, slope: float = 3.0, offset: float = -12.0) -> Path:
    """A network of one 1 x 1 x 1 convolution: bright t1c is tumour; slope and offset make models differ."""
    weight = np.zeros((1 + len(plan.labels), len(plan.sequences), 1, 1, 1))
    weight[1, 0] = slope
    bias = np.zeros(1 + len(plan.labels))
    bias[1] = offset
    write_release(folder, plan, pack({"weight": weight, "bias": bias}), {}, round_id=1)
    return folder


def edited(**changes: object) -> Plan:
    return Plan.model_validate({**PLAN.model_dump(), **changes})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: `finder` marks the lesion, `sleeper` nothing; `coarse` reads t1c alone, at 4 mm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("common.model.weights.new_network", threshold_network)
    write_model(tmp_path / "finder")
    write_model(tmp_path / "sleeper", slope=0.0, offset=-20.0)
    alone = {"sequences": ("t1c",), "preprocessing": PreprocessingSpec(spacing_mm=(4.0, 4.0, 4.0)).model_dump()}
    write_model(tmp_path / "coarse", edited(**alone, model=ModelSpec(name="unet").model_dump()))
    scan(tmp_path / "t1c.nii.gz", "LPS", (2.0, 2.0, 3.0))
    scan(tmp_path / "flair.nii.gz", "LAS", (2.0, 2.0, 4.0))
    return tmp_path


@pytest.fixture
def segment(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(model: str, *options: str) -> tuple[int, str, str]:
        images = ("--image=t1c=t1c.nii.gz", "--image=flair=flair.nii.gz")
        code = run_app(app, "fedmets-site", ["segment", model, *images, "--out=mask.nii.gz", *options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_two_models_give_mean_disagreement_and_how_many_find_each_lesion(segment: Command, folder: Path) -> None:
    outputs = ("--probability=p.nii.gz", "--disagreement=d.nii.gz", "--report=l.csv", "--picture=l.png")
    assert segment("finder", "--probability=one.nii.gz")[0] == 0
    code, out, err = segment("finder", "--also=coarse", *outputs)
    assert (code, err) == (0, "")
    assert "mean of 2 models" in out
    source, spread = nib.load(folder / "t1c.nii.gz"), nib.load(folder / "d.nii.gz")
    np.testing.assert_array_equal(spread.affine, source.affine)
    assert spread.get_data_dtype() == np.float32
    one, mean, disagreement = (values(folder / name) for name in ("one.nii.gz", "p.nii.gz", "d.nii.gz"))
    # Of two values the standard deviation is half their difference: |one - mean|.
    np.testing.assert_allclose(disagreement, np.abs(one - mean), atol=1e-6)
    assert 0.2 < disagreement.max() <= 0.5
    (row,) = csv.DictReader((folder / "l.csv").read_text().splitlines())
    assert (row["found_by_models"], row["models"]) == ("2", "2")
    assert (folder / "l.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_whose_image_ends_in_the_brain_is_told_of(
    segment: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lesion lies where flair has ended: one model says 0, and the mean of two does not mark it."""
    write_model(folder / "by-flair", edited(sequences=("flair",)))
    assert "does not see" not in segment("finder", "--also=by-flair")[1]
    short = nib.load(folder / "flair.nii.gz").slicer[:, :, :13]
    nib.save(short, folder / "short.nii.gz")
    images = ["--image=t1c=t1c.nii.gz", "--image=flair=short.nii.gz"]
    assert (
        run_app(app, "fedmets-site", ["segment", "finder", "--also=by-flair", *images, "--out=mask.nii.gz"]) == 0
    )
    told = capsys.readouterr().out
    assert re.search(r"model 2 does not see [3-6]\d% of the brain, where flair ends, and says 0 there", told)


def test_a_lesion_that_one_of_two_models_finds_is_said_to_be(segment: Command, folder: Path) -> None:
    write_model(folder / "keen", slope=3.0, offset=-1.0)  # so sure that the mean with the sleeper's 0 reaches 0.5
    code, out, _ = segment("keen", "--also=sleeper", "--json", "--disagreement=d.nii.gz")
    result = json.loads(out)
    assert code == 0
    assert len(result["models_sha256"]) == 2 and result["models_sha256"][0] == result["model_sha256"]
    assert values(folder / "d.nii.gz").max() == pytest.approx(0.5, abs=1e-3)
    assert not [lesion for lesion in result["lesions"] if lesion["found_by"] != 1]


def test_one_model_has_no_column_of_models(segment: Command, folder: Path) -> None:
    _, out, _ = segment("finder", "--json", "--report=l.csv")
    assert "models" not in (folder / "l.csv").read_text().splitlines()[0]
    assert "found_by" not in json.loads(out)["lesions"][0]
    assert json.loads(out)["removed"] == {
        "outside_brain": {"lesions": 0, "volume_mm3": 0.0},
        "too_small": {"lesions": 0, "volume_mm3": 0.0},
    }


def test_what_the_plans_clean_up_removes_is_said(segment: Command, folder: Path) -> None:
    write_model(folder / "strict", edited(postprocessing=PostprocessingSpec(min_lesion_mm3=5000.0).model_dump()))
    _, found, _ = segment("finder", "--json")
    (lesion,) = json.loads(found)["lesions"]
    code, out, _ = segment("strict", "--json")
    result = json.loads(out)
    assert (code, result["lesions"]) == (0, [])
    assert result["removed"]["too_small"] == {"lesions": 1, "volume_mm3": pytest.approx(lesion["volume_mm3"])}
    assert not values(folder / "mask.nii.gz").any()
    assert f"removed as too small: 1, {lesion['volume_mm3']:.1f} mm3" in segment("strict")[1]


def test_a_lesion_near_the_brains_edge_is_removed_whole(segment: Command, folder: Path) -> None:
    """The lesion reaches to about 20 mm below the brain's surface: with a margin of 40 mm it is outside."""
    for margin_mm, lesions in ((2.0, 1), (40.0, 0)):
        spec = PostprocessingSpec(outside_brain="lesions", brain_margin_mm=margin_mm)
        write_model(folder / "edge", edited(postprocessing=spec.model_dump()))
        result = json.loads(segment("edge", "--json")[1])
        assert len(result["lesions"]) == lesions
        assert result["removed"]["outside_brain"]["lesions"] == 1 - lesions


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--disagreement=d.nii.gz",), "d.nii.gz: one model disagrees with nobody; add --also MODEL_DIR"),
        (("--also=finder",), "is given twice and would count twice"),
        (("--also=other",), "class 1 is 'tumour' in model trick"),
        (("--also=nowhere",), "nowhere: no such model folder"),
        (
            ("--also=coarse", "--image=t2=t2.nii.gz"),
            "sequence 't2' (t2.nii.gz) is one too many: these models read",
        ),
        (("--also=coarse", "--disagreement=mask.nii.gz"), "mask.nii.gz: named for two outputs"),
        (("--also=coarse", "--disagreement=d.png"), "d.png: output image must end in .nii or .nii.gz"),
        (("--picture=p.jpg",), "p.jpg: a picture must end in .png"),
        (("--also=coarse", "--picture=coarse/p.png"), "lies in the model's folder coarse"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    segment: Command, folder: Path, options: tuple[str, ...], text: str
) -> None:
    write_model(folder / "other", edited(labels=("core",)))
    code, out, err = segment("finder", *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err
    assert not (folder / "mask.nii.gz").exists()


def test_an_image_that_one_of_the_models_needs_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["coarse", "--also=finder", "--image=t1c=t1c.nii.gz", "--out=mask.nii.gz"]
    assert run_app(app, "fedmets-site", ["segment", *options]) == 2
    assert "no image of sequence 'flair'" in capsys.readouterr().err


def test_the_first_models_plan_cleans_the_mean(segment: Command, folder: Path) -> None:
    alone = {"sequences": ("t1c",), "postprocessing": PostprocessingSpec(min_lesion_mm3=5000.0).model_dump()}
    write_model(folder / "strict", edited(**alone))
    first, second = segment("finder", "--also=strict", "--json"), segment("strict", "--also=finder", "--json")
    (lesion,) = json.loads(first[1])["lesions"]
    assert lesion["found_by"] == 1  # the strict one's own mask is cleaned by its own plan
    assert json.loads(second[1])["lesions"] == []
    assert json.loads(second[1])["removed"]["too_small"]["lesions"] == 1


def test_models_that_prepare_alike_read_the_exam_once(
    segment: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: list[Recipe] = []

    def noted(case: Case, recipe: Recipe) -> PreparedCase:
        recipes.append(recipe)
        return prepare(case, recipe)

    monkeypatch.setattr("client.segmentation.prepare", noted)
    assert segment("finder", "--also=sleeper", "--also=coarse")[0] == 0
    assert [recipe.spec.spacing_mm[0] for recipe in recipes] == [2.0, 4.0]
