"""Asking the sites of a plan how they stand to it, until a person at each has decided."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from common.errors import TrustError, WireError
from common.identity import Domain
from common.plan import Plan
from common.wire import Envelope, StandingBody, read_body
from server.flower_link import QUERY, Lost, Messages, exchange
from server.provisioning import ServerFolder
from server.selection import quorum_of
from server.site_trust import verify_site

_ASK_FOR_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 60.0


class Approvals:
    """The standings of a plan's sites, as far as they are known.

    Args:
        grid: Flower's.
        message: the signed plan, or another message that is answered with a standing.
        plan: whose sites are asked.
        nodes: the node that each site is signed in with now.
        folder: whose signatures count.
        clock: this machine's time.
        say: told of each standing that is new, and of each answer that is not believed.
    """

    def __init__(
        self,
        grid: Messages,
        message: Envelope,
        plan: Plan,
        nodes: Callable[[], Mapping[str, int]],
        folder: ServerFolder,
        clock: Callable[[], datetime],
        say: Callable[[str, str], None],
    ) -> None:
        self._grid, self._message, self._plan, self._nodes = grid, message, plan, nodes
        self._folder, self._clock, self._say = folder, clock, say
        self.standings: dict[str, str] = {}

    def wait(self, deadline_s: float) -> bool:
        """Ask until every site has decided, or the deadline; whether enough approved for a quorum."""
        end_s, pause_s = time.monotonic() + deadline_s, _FIRST_PAUSE_S
        while True:
            self.ask(max(1.0, min(_ASK_FOR_S, end_s - time.monotonic())))
            if self._undecided() == () or time.monotonic() + pause_s > end_s:
                return self._approved() >= quorum_of(self._plan)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def ask(self, wait_s: float) -> None:
        """Ask the sites that are signed in and have not decided, once."""
        nodes = self._nodes()
        asked = {site: nodes[site] for site in self._undecided() if site in nodes}
        for site, standing in self._answers(asked, wait_s):
            if self.standings.get(site) != standing:
                self.standings[site] = standing
                self._say(site, standing)

    def _answers(self, nodes: Mapping[str, int], wait_s: float) -> Iterator[tuple[str, str]]:
        for site, answer in exchange(self._grid, self._message, nodes, QUERY, wait_s) if nodes else ():
            match answer:
                case Envelope():
                    yield site, self._read(site, answer)
                case Lost() | WireError():
                    yield site, "no answer"

    def _read(self, site: str, answer: Envelope) -> str:
        try:
            verify_site(self._folder, site, Domain.STANDING, answer.body, answer.signature, self._clock())
            body = read_body(StandingBody, answer)
        except (TrustError, WireError) as error:
            return f"not believed: {error}"
        return f"{body.standing} ({body.code})" if body.code else body.standing

    def _undecided(self) -> tuple[str, ...]:
        decided = ("approved", "refused", "stored")
        return tuple(site for site in self._plan.sites if not self.standings.get(site, "").startswith(decided))

    def _approved(self) -> int:
        return sum(standing == "approved" for standing in self.standings.values())
