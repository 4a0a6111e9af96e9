"""What goes wrong at a hospital is told in codes: no name, no path and no word of an exception gets out."""

import sys
from collections.abc import Iterator

import pytest

from common.errors import FailureCode, RefusalCode
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.raising_site import PATIENT

SECRETS = (PATIENT, "MUELLER", "19570412", "pacs", "nii.gz", "T1post", "112001A", "deployment/data", "Traceback")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One round, in which a transform breaks at `west` and a file of `south` cannot be read."""
    with live_federation(tmp_path_factory.mktemp("silence"), ("rounds = 3", "rounds = 1\nquorum = 0.3")) as live:
        name_a_folder_after_the_patient(live, "south")
        live.up()
        live.join("north")
        for site in ("south", "west"):
            live.join(site, (sys.executable, "-m", "tests.end_to_end.raising_site", str(live.site(site).path)))
        live.begin()
        live.wait_for_end()
        yield live


def name_a_folder_after_the_patient(live: Live, site: str) -> None:
    """Move the site's cases into a folder of that name, and cut an image short."""
    before = live.root / "deployment" / "data" / site
    after = before.with_name(PATIENT) / site
    after.parent.mkdir()
    before.rename(after)
    own = live.site(site).path / "site.toml"
    own.write_text(own.read_text().replace(str(before), str(after)))
    image = next(after.rglob("*_T1post.nii.gz"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])


def test_codes_alone_are_told(broken: Live) -> None:
    told = {name: site.code for name, site in broken.outcomes(1).items()}
    assert told == {"north": None, "south": RefusalCode.TOO_MANY_BAD_CASES, "west": FailureCode.TRAINING_ERROR}
    assert "south too-many-bad-cases, west training-error" in broken.status()


def test_the_house_knows_more(broken: Live) -> None:
    """Else the two tests below would search for what was never there."""
    at_west, at_south = ((broken.root / f"{site}.out").read_text() for site in ("west", "south"))
    assert f"cannot read /pacs/{PATIENT}/19570412/t1c.nii.gz" in at_west and "Traceback" in at_west
    assert "put aside: truncated-file" in at_south and PATIENT in at_south


def test_nothing_of_it_is_in_any_file_of_the_server(broken: Live) -> None:
    files = [path for path in broken.server.path.rglob("*") if path.is_file()] + [broken.root / "server.out"]
    names = {path.name for path in files}
    assert names >= {"state.db", "superlink.log", "superexec.log", "gateway.log", "state.json", "audit.jsonl"}
    assert {path.name: found_in(path.read_bytes()) for path in files} == {path.name: [] for path in files}


def test_nothing_of_it_was_on_the_wire(broken: Live) -> None:
    for site, code in (("south", "too-many-bad-cases"), ("west", "training-error")):
        heard = (broken.site(site).path / "wire").read_bytes()
        assert f'"code":"{code}"'.encode() in heard  # so what passes is not compressed
        assert found_in(heard) == []


def found_in(data: bytes) -> list[str]:
    lower = data.lower()
    return [
        secret
        for secret in SECRETS
        if any(form in lower for form in (secret.lower().encode(), secret.lower().encode("utf-16-le")))
    ]
