"""A federation in a temporary folder, with an injected date, for the tests of joining."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from client.joining import Joined, compare_with, join_federation
from client.requesting import request_enrollment, request_renewal
from client.site_folder import SiteFolder
from common.sealed import Passphrase
from server.enrollment import Enrolled, enroll_site
from server.provisioning import ServerFolder, init_federation

DAY_0 = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
HOSTS = ("fed.example.org", "192.0.2.7")


def day(number: float) -> datetime:
    return DAY_0 + timedelta(days=number)


@dataclass(frozen=True)
class Lab:
    """One federation and as many sites as asked for."""

    root: Path
    server: ServerFolder

    @property
    def fingerprint(self) -> str:
        return self.server.authority().fingerprint

    def site(self, name: str) -> SiteFolder:
        return SiteFolder(self.root / name)

    def kit_file(self, name: str) -> Path:
        return self.root / f"{name}.kit"

    def request(self, name: str, now: datetime = DAY_0) -> Path:
        return request_enrollment(self.site(name), name, now).file

    def enroll(self, name: str, now: datetime = DAY_0) -> Enrolled:
        return enroll_site(self.server, self.site(name).request_file, self.kit_file(name), now)

    def join(self, name: str, now: datetime = DAY_0) -> Joined:
        return join_federation(self.site(name), self.kit_file(name), compare_with(self.fingerprint), now)

    def add(self, name: str, now: datetime = DAY_0) -> SiteFolder:
        """Request, enroll and join."""
        self.request(name, now)
        self.enroll(name, now)
        self.join(name, now)
        return self.site(name)

    def renew(self, name: str, now: datetime) -> SiteFolder:
        """The same for a site that has joined."""
        request_renewal(self.site(name), now)
        self.enroll(name, now)
        self.join(name, now)
        return self.site(name)


def make_lab(root: Path, name: str = "BMFED", passphrase: Passphrase | None = None) -> Lab:
    root.mkdir(exist_ok=True)
    return Lab(root, init_federation(root / "fed", name, HOSTS, 8443, DAY_0, passphrase))


def hashes(folder: Path) -> dict[str, str]:
    """sha256 by path of every file below a folder."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
