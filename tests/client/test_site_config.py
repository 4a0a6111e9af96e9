"""site.toml: read whole, faults together, nothing shown that must not be."""

import tomllib
from pathlib import Path

import pytest

from client.requesting import request_enrollment
from client.site_config import TEMPLATE, load_site_config, write_template
from client.site_folder import SiteFolder
from common.errors import ConfigError
from tests.trust import DAY_0

DATA = '[data]\nadapter = "ucsf_bmsr"\nroot = "cases"\n'


def write(folder: Path, text: str) -> Path:
    (folder / "site.toml").write_text(text)
    return folder


def test_paths_are_relative_to_the_file_and_defaults_are_safe(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, DATA))
    assert config.data.root == tmp_path / "cases"
    assert config.folders.cache == tmp_path / "cache"
    assert (config.device, config.proxy, config.supernode_user, config.supernode_port) == ("auto", None, None, 0)


def test_every_setting_is_read_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMETS_DISK", str(tmp_path / "disk"))
    monkeypatch.setenv("PROXY_PASSWORD", "s3cret")
    text = (
        'device = "cuda:1"\nproxy = "http://anna:${PROXY_PASSWORD}@proxy.example.org:3128"\n'
        'supernode_user = "fedmets-net"\nsupernode_port = 9099\n[folders]\ncache = "${FEDMETS_DISK}/cache"\n'
        '[data]\nadapter = "nifti_folders"\nroot = "$FEDMETS_DISK/in"\nsequences = { t1c = "T1c*.nii.gz" }\n'
    )
    config = load_site_config(write(tmp_path, text))
    assert config.folders.cache == tmp_path / "disk" / "cache"
    assert config.data.root == tmp_path / "disk" / "in"
    assert config.proxy == "http://anna:s3cret@proxy.example.org:3128"
    assert (config.device, config.supernode_user, config.supernode_port) == ("cuda:1", "fedmets-net", 9099)
    assert "s3cret" not in repr(config)


def test_all_faults_come_together_and_a_password_is_not_shown(tmp_path: Path) -> None:
    text = 'device = "gpu"\nspeed = 3\nproxy = "ftp://anna:s3cret@proxy:1"\n' + DATA.replace(
        "cases", "${NOWHERE_1}"
    )
    with pytest.raises(ConfigError) as refused:
        load_site_config(write(tmp_path, text))
    message = str(refused.value)
    for part in ("unknown key 'speed'", "'device'", "not a proxy's address", "NOWHERE_1 is not set"):
        assert part in message
    assert "s3cret" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "fill in the section"),
        ("data = 3\n", "'data'"),
        (DATA + "[folders]\ncash = 1\n", "unknown key 'folders.cash'"),
        ("folders = 1\n" + DATA, "'folders'"),
        ("supernode_port = 70000\n" + DATA, "supernode_port"),
        ('supernode_user = "../x"\n' + DATA, "supernode_user"),
    ],
)
def test_refusals(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        load_site_config(write(tmp_path, text))


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fedmets-site request, which writes one"):
        load_site_config(tmp_path)


def test_nothing_of_it_has_a_form_that_could_travel(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, DATA))
    for form in (config.to_json, config.fingerprint):
        with pytest.raises(TypeError, match="never travels"):
            form()


def test_request_writes_a_template_once(tmp_path: Path) -> None:
    folder = SiteFolder(tmp_path / "north")
    request_enrollment(folder, "north", DAY_0)
    assert (folder.path / "site.toml").read_text() == TEMPLATE
    write(folder.path, DATA)
    write_template(folder.path)
    request_enrollment(folder, "north", DAY_0)
    assert (folder.path / "site.toml").read_text() == DATA


def test_the_template_holds_once_its_marks_are_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "x")
    lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines()[4:] if "if the way out" not in line]
    text = "\n".join(lines)
    assert tomllib.loads(TEMPLATE) == {"device": "auto"}
    config = load_site_config(write(tmp_path, text))
    assert config.data.ignore_labels == (2,)
    assert config.folders.cache == tmp_path / "cache"
