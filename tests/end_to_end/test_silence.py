"""What goes wrong at a hospital is told in codes: no name, no path and no word of an exception gets out.

Three ways out are searched: what worker and SuperNode say to one another, what the SuperNode and the gateway say
within their TLS, and the server's files.
"""

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.errors import FailureCode, RefusalCode
from tests.end_to_end.dialled import Remote, remotes
from tests.end_to_end.live import Live, live_federation
from tests.end_to_end.raising_site import PATIENT
from tests.end_to_end.spellings import found_in
from tests.end_to_end.wire_recorder import opened_tls, recording, relay

# Each of six characters at least: shorter ones turn up by accident in the base64 of signatures.
SECRETS = (PATIENT, "MUELLER", "19570412", "/pacs/", "nii.gz", "T1post", "112001A", "deployment/data", "Traceback")
CODES = {"south": RefusalCode.TOO_MANY_BAD_CASES, "west": FailureCode.TRAINING_ERROR}
HEADERS = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
HEADERS |= {f"flwr-{name}" for name in ("component-name", "package-name", "package-version")}
HEADERS |= {f"flwr-{name}" for name in ("public-key", "signature", "timestamp")}
CALLS = {"activate-node", "send-node-heartbeat", "pull-messages", "pull-object", "push-messages", "push-object"}


@dataclass
class Broken:
    """One round, in which a transform breaks at `west` and a file of `south` cannot be read.

    Attributes:
        proxies: the port of each of the two's proxy.
        dialled: where each one's processes had connections to whenever it was looked.
    """

    live: Live
    proxies: dict[str, int] = field(default_factory=dict)
    dialled: dict[str, set[Remote]] = field(default_factory=dict)

    def send_through_a_proxy(self, site: str, running: ExitStack) -> None:
        """Let the site's way out lead through one that keeps what passes: as it passes, and without its TLS."""
        own, root = self.live.site(site).path / "site.toml", self.live.root
        opened = running.enter_context(recording(root / f"{site}.opened", opened_tls(self.live.server)))
        port = running.enter_context(recording(root / f"{site}.closed", relay(opened)))
        own.write_text(f'proxy = "http://127.0.0.1:{port}"\n{own.read_text()}')
        self.proxies[site], self.dialled[site] = port, set()

    def look(self) -> None:
        for site, seen in self.dialled.items():
            seen.update(remotes([self.live.processes[site].pid, *self.live.working(site, "")]))

    def opened(self, site: str, direction: str) -> bytes:
        """What passed within TLS: `up` from the SuperNode, `down` from the gateway."""
        return joined(self.live.root / f"{site}.opened", direction)

    def closed(self, site: str) -> bytes:
        """What the hospital's network sees."""
        return joined(self.live.root / f"{site}.closed", "*")

    def in_the_house(self, site: str) -> bytes:
        """What passed between worker and SuperNode."""
        return joined(self.live.site(site).path / "wire", "*")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    """The round has ended, and both hospitals have signed off."""
    edit = ("rounds = 3", "rounds = 1\nquorum = 0.3")
    with live_federation(tmp_path_factory.mktemp("silence"), edit) as live, ExitStack() as running:
        broken = Broken(live)
        name_a_folder_after_the_patient(live, "south")
        live.up()
        live.join("north")
        for site in CODES:
            broken.send_through_a_proxy(site, running)
            live.join(site, (sys.executable, "-m", "tests.end_to_end.raising_site", str(live.site(site).path)))
        live.begin()
        live.wait_until(watched(broken), "the run has ended")
        with ThreadPoolExecutor() as threads:
            assert list(threads.map(live.stop, CODES)) == [0, 0]
        yield broken


def watched(broken: Broken) -> Callable[[], bool]:
    """Whether the run has ended, with a look at who is connected to whom each time that this is asked."""

    def has_ended() -> bool:
        broken.look()
        return broken.live.report().state in ("completed", "partial", "failed")

    return has_ended


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


def test_codes_alone_are_told(broken: Broken) -> None:
    told = {name: site.code for name, site in broken.live.outcomes(1).items()}
    assert told == {"north": None, **CODES}
    assert "south too-many-bad-cases, west training-error" in broken.live.status()


def test_the_house_knows_more(broken: Broken) -> None:
    """Else the tests below would search for what was never there."""
    at_west, at_south = ((broken.live.root / f"{site}.out").read_text() for site in ("west", "south"))
    assert f"cannot read /pacs/{PATIENT}/19570412/t1c.nii.gz" in at_west and "Traceback" in at_west
    assert "put aside: truncated-file" in at_south and PATIENT in at_south


def test_nothing_of_it_is_in_any_file_of_the_server(broken: Broken) -> None:
    files = [path for path in broken.live.server.path.rglob("*") if path.is_file()]
    files.append(broken.live.root / "server.out")
    names = {path.name for path in files}
    assert names >= {"state.db", "superlink.log", "superexec.log", "gateway.log", "state.json", "audit.jsonl"}
    assert {path.name: found_in(path.read_bytes(), SECRETS) for path in files} == {path.name: [] for path in files}


@pytest.mark.parametrize("site", CODES)
def test_nothing_of_it_passed_between_worker_and_supernode(broken: Broken, site: str) -> None:
    heard = broken.in_the_house(site)
    assert answer_of(site) in heard  # so what passes is not compressed
    assert found_in(heard, SECRETS) == []


@pytest.mark.parametrize("site", CODES)
def test_nothing_of_it_left_the_house(broken: Broken, site: str) -> None:
    """From signing in to signing off; the searched text is whole, in the clear and not compressed."""
    up, down = broken.opened(site, "up"), broken.opened(site, "down")
    calls = set(re.findall(rb"POST /v1/fleet/([a-z-]+) HTTP/1.1\r\n", up))
    assert calls >= {call.encode() for call in CALLS}
    assert answer_of(site) in up and b'"kind":"task"' in down
    for heard in (up, down):
        assert not re.search(rb"(?i)\r\n(content|transfer)-encoding:", heard)
        assert found_in(heard, SECRETS) == []


@pytest.mark.parametrize("site", CODES)
def test_flower_adds_no_other_header(broken: Broken, site: str) -> None:
    """Those that the site's guide tells of, by what they hold."""
    names = re.findall(rb"\r\n([A-Za-z-]+): ", broken.opened(site, "up"))
    assert {name.decode().lower() for name in names} == HEADERS


@pytest.mark.parametrize("site", CODES)
def test_what_the_network_sees_is_closed(broken: Broken, site: str) -> None:
    """Names, and when: the proxy's own request and TLS's greeting. Nothing else of it can be read."""
    seen = broken.closed(site)
    assert len(seen) > len(broken.opened(site, "*"))
    assert answer_of(site) not in seen and b"/v1/fleet/" not in seen
    assert found_in(seen, SECRETS) == []


@pytest.mark.parametrize("site", CODES)
def test_there_was_no_other_way_out(broken: Broken, site: str) -> None:
    address = broken.live.server.federation.address
    first = {path.read_bytes().split(b"\r\n")[0] for path in (broken.live.root / f"{site}.opened").glob("*.up")}
    assert first == {f"CONNECT {address} HTTP/1.1".encode()}
    dialled = broken.dialled[site]
    assert Remote("127.0.0.1", broken.proxies[site]) in dialled
    assert {remote.host for remote in dialled} == {"127.0.0.1"}
    assert broken.live.server.federation.port not in {remote.port for remote in dialled}


def joined(record: Path, direction: str) -> bytes:
    """Every connection's bytes, one direction after the other."""
    return b"\n".join(path.read_bytes() for path in sorted(record.glob(f"*.{direction}")))


def answer_of(site: str) -> bytes:
    return f'"code":"{CODES[site]}"'.encode()
