"""From replies, as they arrive, to one mean and one outcome per site."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from common.compression import encoded_bytes
from common.errors import TrustCode, UpdateCode, UpdateRejected
from common.plan import Plan
from common.protocol import SiteFailed, SiteRefused, SiteReply, SiteUntrusted, SiteUpdate, TrainReport, TrainTask
from server.aggregation.build import Mean
from server.records import Outcome, Participation
from server.validation import check_update, max_credible_norm


@dataclass(frozen=True, slots=True)
class Rejection:
    """A reply that was not used: which site's, why, and in words for the audit log."""

    site: str
    code: UpdateCode | TrustCode
    text: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What a round's replies came to.

    Attributes:
        mean: of the accepted updates.
        participation: one entry per site of the plan, in its order.
        rejections: every reply declined, also of sites that are not in the plan or had replied before.
        seconds: spent on checking and adding, not on waiting.
    """

    mean: Mean
    participation: tuple[Participation, ...]
    rejections: tuple[Rejection, ...]
    seconds: float


def collect(
    replies: Iterable[SiteReply],
    task: TrainTask,
    asked: tuple[str, ...],
    plan: Plan,
    mean: Mean,
    clock: Callable[[], float],
) -> Collected:
    """Check each reply as it arrives, add it to `mean`, empty before, and let go of it.

    The first reply of a site to this round counts. Nothing but the mean holds on to an update.
    """
    collector = _Collector(task, asked, plan, mean)
    seconds = 0.0
    for reply in replies:
        start_s = clock()
        collector.take(reply)
        seconds += clock() - start_s
        del reply  # else this update would live until the next one is here, beside it
    return Collected(mean, collector.participation(), tuple(collector.rejections), seconds)


class _Collector:
    """The state of one round's collection."""

    def __init__(self, task: TrainTask, asked: tuple[str, ...], plan: Plan, mean: Mean) -> None:
        self.rejections: list[Rejection] = []
        self._outcomes: dict[str, Participation] = {}
        self._task, self._asked, self._plan, self._mean = task, asked, plan, mean
        self._max_norm = max_credible_norm(task, plan)

    def take(self, reply: SiteReply) -> None:
        """Give the reply's site its outcome; a rejected update costs only itself."""
        try:
            self._check_turn(reply)
            self._outcomes[reply.site] = self._outcome(reply)
        except UpdateRejected as rejected:
            self.rejections.append(Rejection(rejected.site, rejected.code, str(rejected)))
            if rejected.code not in (UpdateCode.WRONG_SITE, UpdateCode.DUPLICATE):
                self._outcomes[reply.site] = Participation(
                    site=reply.site,
                    outcome=Outcome.INVALID,
                    code=rejected.code,
                    bytes_up=_bytes_up(reply, self._plan),
                )

    def participation(self) -> tuple[Participation, ...]:
        """One outcome per site: who was not asked was offline, who did not reply is late."""
        return tuple(self._outcomes.get(site) or self._absent(site) for site in self._plan.sites)

    def _check_turn(self, reply: SiteReply) -> None:
        if reply.site not in self._asked:
            raise UpdateRejected(UpdateCode.WRONG_SITE, reply.site, "this site was not asked in this round")
        earlier = self._outcomes.get(reply.site)
        if earlier is not None and earlier.code is not UpdateCode.WRONG_ROUND:
            raise UpdateRejected(UpdateCode.DUPLICATE, reply.site, f"its outcome is already '{earlier.outcome}'")
        if reply.round_id != self._task.round_id:
            raise UpdateRejected(
                UpdateCode.WRONG_ROUND, reply.site, f"of round {reply.round_id}, this is {self._task.round_id}"
            )

    def _outcome(self, reply: SiteReply) -> Participation:
        match reply:
            case SiteRefused(site=site, code=refusal):
                return Participation(site=site, outcome=Outcome.REFUSED, code=refusal)
            case SiteFailed(site=site, code=failure):
                return Participation(site=site, outcome=Outcome.FAILED, code=failure)
            case SiteUntrusted():
                raise UpdateRejected(reply.code, reply.site, reply.detail)
            case SiteUpdate():
                return self._add(reply)

    def _add(self, update: SiteUpdate) -> Participation:
        check_update(update, self._task, self._plan, self._max_norm)
        report = update.report
        # links end the waiting; one that runs sites in its own process cannot cut a task short, hence this check
        if report.seconds > self._plan.federation.deadline_s:
            return Participation(site=update.site, outcome=Outcome.LATE, bytes_up=_bytes_up(update, self._plan))
        weight = _WEIGHTS[self._plan.federation.weighting](report)
        try:
            self._mean.add(update.delta.vector, weight)
        except OverflowError as error:
            raise UpdateRejected(UpdateCode.ABSURD_NORM, update.site, str(error)) from None
        return _accepted(update, self._plan)

    def _absent(self, site: str) -> Participation:
        outcome = Outcome.LATE if site in self._asked else Outcome.OFFLINE
        return Participation(site=site, outcome=outcome)


_WEIGHTS: Mapping[str, Callable[[TrainReport], int]] = {
    "cases": lambda report: report.cases or 0,  # `check_update` has refused an update without them
    "steps": lambda report: report.steps,
    "equal": lambda report: 1,
}


def _bytes_up(reply: SiteReply, plan: Plan) -> int:
    match reply:
        case SiteUpdate():
            return encoded_bytes(reply.delta.vector.size, plan.federation.up)
        case SiteUntrusted():
            return reply.bytes_up
        case _:
            return 0


def _accepted(update: SiteUpdate, plan: Plan) -> Participation:
    report = update.report
    return Participation(
        site=update.site,
        outcome=Outcome.ACCEPTED,
        bytes_up=_bytes_up(update, plan),
        cases=report.cases,
        steps=report.steps,
        loss=report.loss,
        seconds=report.seconds,
        train_seconds=report.train_seconds,
        evaluate_seconds=report.evaluate_seconds,
        incoming=report.incoming,
        quarantined=report.quarantined,
        more_quarantined=report.more_quarantined,
    )
