"""What the worker and its training process say to each other; both run the same code on the same machine."""

from typing import Literal

import numpy as np

from client.frames import Frame, FrameError
from common.errors import FailureCode, RefusalCode, TrustCode
from common.plan import Plan
from common.protocol import SiteAnswer, SiteFailed, SiteRefused, SiteUpdate, TrainReport, TrainTask
from common.schema import Frozen
from common.weights import Layout, Weights


class Request(Frozen):
    """What the training process is to do; a task's weights are the frame's payload.

    Attributes:
        number: the answer repeats it.
        kind: warm opens the plan's cases and builds its network; train works on a round.
    """

    number: int
    kind: Literal["warm", "train"]
    plan: Plan
    round_id: int = 0
    layout: Layout = ()


class Answer(Frozen):
    """What came of a request; an update's values are the frame's payload."""

    number: int
    outcome: Literal["warmed", "update", "refused", "failed"]
    code: RefusalCode | FailureCode | TrustCode | None = None
    report: TrainReport | None = None


def warm_frame(number: int, plan: Plan) -> Frame:
    """Ask to get ready for a plan."""
    return Frame(Request(number=number, kind="warm", plan=plan).to_json().encode())


def train_frame(number: int, task: TrainTask, plan: Plan) -> Frame:
    """Ask for a round's work."""
    request = Request(number=number, kind="train", plan=plan, round_id=task.round_id, layout=task.weights.layout)
    return Frame(request.to_json().encode(), task.weights.vector.data)


def task_in(request: Request, frame: Frame) -> TrainTask:
    """The task of a train request; its weights are a view of the payload."""
    vector = np.frombuffer(frame.payload, np.float32)
    return TrainTask(request.plan.fingerprint(), request.round_id, Weights(request.layout, vector))


def answer_frame(number: int, answer: SiteAnswer | None) -> Frame:
    """Tell what came of a request; None says that a plan is warm."""
    match answer:
        case None:
            return Frame(Answer(number=number, outcome="warmed").to_json().encode())
        case SiteUpdate():
            head = Answer(number=number, outcome="update", report=answer.report)
            return Frame(head.to_json().encode(), answer.delta.vector.data)
        case SiteRefused(code=refusal):
            return Frame(Answer(number=number, outcome="refused", code=refusal).to_json().encode())
        case SiteFailed(code=failure):
            return Frame(Answer(number=number, outcome="failed", code=failure).to_json().encode())


def reply_in(answer: Answer, frame: Frame, task: TrainTask, site: str) -> SiteAnswer:
    """The answer to a task, in the words of the protocol; raises FrameError when its parts do not fit."""
    match answer.outcome, answer.code, answer.report:
        case "update", None, TrainReport() as report:
            try:
                delta = task.weights.with_vector(np.frombuffer(frame.payload, np.float32))
            except ValueError as error:
                raise FrameError(f"an update that does not fit its task: {error}") from None
            return SiteUpdate(site, task.plan_id, task.round_id, delta, report)
        case "refused", RefusalCode() | TrustCode() as refusal, None:
            return SiteRefused(site, task.round_id, refusal)
        case "failed", FailureCode() as failure, None:
            return SiteFailed(site, task.round_id, failure)
    raise FrameError(f"an answer to a task whose parts do not belong together: {answer.outcome}")
