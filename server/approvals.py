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
_DECIDED = ("approved", "refused", "stored")  # with a code, "refused (wrong-plan)", a program has answered
_AWAY = "not online"
_IN_WORDS = {"waiting": "has not decided", "no answer": "did not answer", _AWAY: "is not online"}


class Approvals:
    """The standings of a plan's sites, as far as they are known.

    A person's decision is final for as long as this asks. What a site's program refuses by itself, under a code,
    is put right by somebody, such as a clock, and is asked for again.

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
            left_s = end_s - time.monotonic()
            if self._undecided() == () or left_s <= 0.0:
                return self._approved() >= quorum_of(self._plan)
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def ask(self, wait_s: float) -> None:
        """Ask the sites that are signed in and have not decided, once."""
        nodes = self._nodes()
        for site in self._undecided():
            if site not in nodes:
                self._note(site, _AWAY)
        asked = {site: nodes[site] for site in self._undecided() if site in nodes}
        for site, standing in self._answers(asked, wait_s):
            self._note(site, standing)

    def shortfall(self, deadline_s: float) -> str:
        """Why there is no quorum, with what every site said last: for people."""
        sites, approved = self._plan.sites, self._approved()
        over = f"the {deadline_s:.0f} s to decide are over" if self._undecided() else "every site has decided"
        said = {site: self._standing(site) for site in sites}
        told = ", ".join(f"{site} {_IN_WORDS.get(standing, standing)}" for site, standing in said.items())
        return f"{over}: {approved} of {len(sites)} sites approved, {quorum_of(self._plan)} are needed: {told}"

    def _note(self, site: str, standing: str) -> None:
        if self.standings.get(site) != standing:
            self.standings[site] = standing
            self._say(site, standing)

    def _standing(self, site: str) -> str:
        return self.standings.get(site, _AWAY)

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
        return tuple(site for site in self._plan.sites if self._standing(site) not in _DECIDED)

    def _approved(self) -> int:
        return sum(standing == "approved" for standing in self.standings.values())
