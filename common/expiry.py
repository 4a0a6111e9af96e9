"""How long certificates still hold, said in time to act."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography import x509

from common.certificates import WARN_BEFORE

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


def expiry_of(certificate: x509.Certificate, what: str, advice: str, now: datetime) -> Finding:
    """Judge one certificate: warn from 30 days before its end, fail outside its dates.

    With 29.5 days left the finding says "in 29 days".
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        finding = f"not valid before {begin:%Y-%m-%d %H:%M} UTC, now it is {now:%Y-%m-%d %H:%M}"
        return Finding("fail", what, finding, "check this machine's clock")
    if now > end:
        return Finding("fail", what, f"expired on {end:%Y-%m-%d}", advice)
    if now >= end - WARN_BEFORE:
        return Finding("warn", what, f"expires on {end:%Y-%m-%d}, in {(end - now).days} days", advice)
    return Finding("ok", what, f"valid until {end:%Y-%m-%d}")


def worst(findings: list[Finding]) -> Level:
    """The worst level among findings; ok when there are none."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
