"""How long certificates still hold, said in time to act."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography import x509

from common.certificates import WARN_BEFORE
from common.errors import FedmetsError

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check.

    Attributes:
        level: ok, warn (act soon) or fail (does not work now).
        what: the thing that was looked at.
        finding: what was found.
        advice: what to do; empty when ok.
    """

    level: Level
    what: str
    finding: str
    advice: str = ""

    @property
    def line(self) -> str:
        """As a terminal shows it: "warn  server certificate: expires ...; run ..."."""
        return f"{self.level:<5} {self.what}: {self.finding}{'; ' if self.advice else ''}{self.advice}"


def expiry_of(certificate: x509.Certificate, what: str, advice: str, now: datetime, too_late: str = "") -> Finding:
    """Judge one certificate: warn from 30 days before its end, fail outside its dates.

    With 29.5 days left the finding says "in 29 days".

    Args:
        certificate: what is judged.
        what: its name in the finding.
        advice: what to do before it ends.
        now: the time.
        too_late: what to do once it has ended, where `advice` no longer helps.
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        finding = f"not valid before {begin:%Y-%m-%d %H:%M} UTC, now it is {now:%Y-%m-%d %H:%M}"
        return Finding("fail", what, finding, "check this machine's clock")
    if now > end:
        return Finding("fail", what, f"expired on {end:%Y-%m-%d}", too_late or advice)
    if now >= end - WARN_BEFORE:
        return Finding("warn", what, f"expires on {end:%Y-%m-%d}, in {(end - now).days} days", advice)
    return Finding("ok", what, f"valid until {end:%Y-%m-%d}")


def worst(findings: list[Finding]) -> Level:
    """The worst level among findings; ok when there are none."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def refuse_failed(findings: list[Finding], folder: Path) -> None:
    """End a command that has shown these findings; raises FedmetsError naming those that fail, if any do."""
    failed = ", ".join(finding.what for finding in findings if finding.level == "fail")
    if failed:
        raise FedmetsError(f"{folder}: does not hold: {failed}; the findings above say what to do")
