"""Reading TOML that people write by hand."""

from pathlib import Path

import pytest

from common.config import DataSection, expand_path, read_toml, validate
from common.errors import ConfigError


def test_byte_order_mark_of_a_windows_editor(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_bytes(b'\xef\xbb\xbfname = "x"\r\n')
    assert read_toml(file) == {"name": "x"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such configuration file"),
        (b"name = 'a'\nname ? 'b'", r"not valid TOML: .* \(at line 2, column 6\)"),
        (b"name = '\xff'", "cannot read the configuration"),
    ],
)
def test_files_that_cannot_be_read(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_toml(file)


def test_paths_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT", "/data/cohort")
    assert expand_path("${COHORT}/a/../b", Path("/base"), "data.root") == Path("/data/cohort/b")
    assert expand_path("../c", Path("/base/configs"), "data.root") == Path("/base/c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$NO_SUCH_VARIABLE/x", "data.root: environment variable NO_SUCH_VARIABLE is not set"),
        ("~no-such-user/x", "data.root: '~no-such-user/x': there is no such user's home"),
    ],
)
def test_paths_that_lead_nowhere(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("$", r"\$")):
        expand_path(text, Path("/base"), "data.root")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"adapter": "brats_mets", "labels": "three_class"},
            "labels = 'three_class' belongs to adapter ucsf_bmsr",
        ),
        ({"adapter": "brats_mets", "label": "seg.nii.gz"}, "brats_mets knows its own file names"),
        ({"adapter": "nifti_folders"}, "nifti_folders needs sequences"),
        ({"adapter": "brats_mets", "label_map": {"1": 1, "2": 1}, "ignore_labels": [2]}, r"and ignored: \[2\]"),
        ({"adapter": "brats_mets", "label_map": {"1": -1}}, "class indices, 0 or above"),
    ],
)
def test_data_settings_that_do_not_fit_each_other(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=f"data: .*{said}"):
        validate(DataSection, {"root": "/data", **values}, "data")
