"""`fedmets-site check`: all that should be known before a round, in under 30 seconds whatever the machine does.

The data part opens every file and reads as many voxels as it has time for; asked for all, it reads all.
Every part has a limit in time of its own, and what hangs in it is left behind: a file server that does not answer
costs the part that asked it, not the check. The way to the gateway is walked, and torch is loaded in the trial's
own process, beside the first parts.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from client.bounded import Begun
from client.data.survey import Survey
from client.machine import free_disk_bytes, main_memory
from client.preflight_compute import TrialProcess, check_compute
from client.preflight_data import check_data
from client.preflight_folder import check_audit_log, check_password
from client.preflight_machine import (
    check_cache_disk,
    check_network_user,
    check_state_disk,
    check_versions,
    folder_bytes,
    installed_versions,
    required_flwr,
)
from client.preflight_network import check_network
from client.proxy import read_proxy
from client.route import Gateway
from client.site_config import SITE_FILE, SiteConfig, load_site_config
from client.site_folder import SiteFolder
from client.trust_checks import check_trust
from common.errors import FedmetsError
from common.expiry import Finding
from common.plan import Plan

_TRUST_S = 2.0
_DATA_S = 9.0  # from the start; the part before takes a fraction of a second as a rule
_HUNG_FILE_S = 2.0  # on top of the data's time, for the files that it is at
_MACHINE_S = 2.0
_USER_S = 8.0  # from the start; the SuperNode is tried beside the first parts, which may take longer
_NETWORK_S = 9.0
_ALL_S = 25.5  # from the start to the end of training, which has what the parts before it leave
_TRAINING_S = 12.5  # and never less than this
_HANGS = "a disk or a server does not answer, or the machine is overloaded"


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the check found, and how long it took."""

    name: str
    findings: list[Finding]
    seconds: float


def preflight(
    folder: SiteFolder,
    plan: Plan | None,
    now: Callable[[], datetime],
    say: Callable[[Part], None],
    all_data: Callable[[str], None] | None = None,
) -> list[Part]:
    """Check a site, joined or not.

    Args:
        folder: the site's.
        plan: proposed or approved here; None checks against the defaults.
        now: this machine's clock.
        say: hears of every part as it ends.
        all_data: given, every voxel of every case is read, without a limit, and it hears how far that is.
    """
    parts: list[Part] = []

    def add(name: str, limit_s: float, work: Callable[[], list[Finding]]) -> None:
        parts.append(_bounded(name, limit_s, Begun(work)))
        say(parts[-1])

    begun_s = time.monotonic()
    config, fault = _read_config(folder)
    surveys: list[Survey] = []
    with TrialProcess() as trial:
        network = Begun(lambda: _network(folder, config, now))
        user = Begun(lambda: _user(folder, config))
        add("keys and certificates", _TRUST_S, lambda: _trust(folder, now()))
        data_s = math.inf if all_data is not None else begun_s + _DATA_S - time.monotonic()
        tell = all_data or (lambda _: None)
        add("data", data_s + _HUNG_FILE_S, lambda: _data(folder, config, fault, plan, data_s, tell, surveys))
        survey = surveys[0] if surveys else None
        user_s = max(begun_s + _USER_S - time.monotonic(), 0.0)
        add("machine", _MACHINE_S + user_s, lambda: _machine(folder, config, survey, user.result(user_s + 1.0)))
        device = config.device if config is not None else "auto"
        left_s = max(begun_s + _ALL_S - time.monotonic(), _TRAINING_S)
        add("training", left_s + 1.0, lambda: check_compute(trial, plan, device, main_memory(), left_s))
    parts.append(_bounded("network", begun_s + _NETWORK_S + 1.0 - time.monotonic(), network))
    say(parts[-1])
    return parts


def _bounded(name: str, limit_s: float, begun: Begun[list[Finding]]) -> Part:
    started_s = time.monotonic()
    try:
        findings = begun.result(limit_s)
    except TimeoutError:
        advice = f"{_HANGS}; fedmets-site check --all waits as long as it takes" if name == "data" else _HANGS
        findings = [Finding("fail", name, "not done in the time it may take", advice)]
    except FedmetsError as error:
        findings = [Finding("fail", name, str(error))]
    except OSError as error:
        findings = [Finding("fail", name, f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))]
    return Part(name, findings, time.monotonic() - started_s)


def _read_config(folder: SiteFolder) -> tuple[SiteConfig | None, str]:
    try:
        return load_site_config(folder.path), ""
    except FedmetsError as error:
        return None, str(error).removeprefix(f"{folder.path / SITE_FILE}: ")


def _trust(folder: SiteFolder, now: datetime) -> list[Finding]:
    try:
        findings = check_trust(folder, now)
    except FedmetsError as error:  # not joined yet: the rest can be checked all the same
        findings = [Finding("fail", "federation", str(error))]
    return [*findings, check_audit_log(folder)]


def _data(
    folder: SiteFolder,
    config: SiteConfig | None,
    fault: str,
    plan: Plan | None,
    limit_s: float,
    tell: Callable[[str], None],
    surveys: list[Survey],
) -> list[Finding]:
    """The survey goes into `surveys`, for the part that judges the disk."""
    if config is None:
        return [Finding("fail", SITE_FILE, fault)]
    findings, survey = check_data(config.data, plan, limit_s, tell)
    if survey is not None:
        surveys.append(survey)
    sound = Finding("ok", SITE_FILE, f"{config.data.adapter}, device {config.device}")
    return [check_password(folder.path / SITE_FILE) or sound, *findings]


def _machine(
    folder: SiteFolder, config: SiteConfig | None, survey: Survey | None, user: list[Finding]
) -> list[Finding]:
    findings = [check_state_disk(folder.path, free_disk_bytes(folder.path))]
    if config is not None:
        cache = config.folders.cache
        if survey is not None:
            free = free_disk_bytes(cache)
            findings.append(check_cache_disk(cache, free, survey.cache_bytes, folder_bytes(cache)))
    return [*findings, *user, check_versions(installed_versions(), required_flwr())]


def _user(folder: SiteFolder, config: SiteConfig | None) -> list[Finding]:
    if config is None:
        return []
    images = (config.data.root, config.folders.cache)
    return [check_network_user(config.supernode_user, folder.path, images, _USER_S - 1.0)]


def _network(folder: SiteFolder, config: SiteConfig | None, now: Callable[[], datetime]) -> list[Finding]:
    keys = folder.in_use()
    if keys is None:
        return [Finding("warn", "route", "not known before joining", "run this check again after joining")]
    body = keys.kit().body
    gateway = Gateway(body.hosts[0], body.port, keys.authority)
    proxy = read_proxy(config.proxy) if config is not None and config.proxy is not None else None
    return check_network(gateway, proxy, now, _NETWORK_S)
