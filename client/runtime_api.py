"""Tasks taken straight from the SuperNode beside us: no process per task, and no app bundle installed or imported.

The only file that uses Flower's internals. None of them is documented, so flwr is pinned exactly, and
tests/client/test_runtime_api.py fails when a name, a field or a signature of them moves.

The SuperNode listens on 127.0.0.1, in the clear. A secret shared with it through a file of mode 0600
(`--superexec-auth-secret-file`) keeps other users of the machine from taking tasks there: a request for one is
signed with it, and a task once taken answers to its own token alone. Nobody but root can listen in on the
loopback, and a program that takes the SuperNode's port before it learns nothing: only tasks are replied to.
"""

import hashlib
import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import httpx
from flwr.app import Context, Message, RecordDict
from flwr.common.constant import SubStatus
from flwr.common.serde import context_from_proto
from flwr.proto.message_pb2 import PullObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import UnexpectedObjectContentError
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, pull_and_inflate_object_from_tree
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import push_message, push_task_output

from common.errors import NodeError

log = logging.getLogger(__name__)
FLWR_VERSION = "1.41.0"
_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
_COMPONENT = "flwr-clientapp"
_LONGEST_RETRY_S = 60.0
_LONGEST_FETCH_S = 7200.0
_POLL_S = 0.2
_CONTENT_POLL_S = 0.2
_FETCHED_WITHIN_S = 5.0  # our aggregator asks every half second, Flower's own strategies every 3 s


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that was taken; the SuperNode waits for its reply and hands out no other until then.

    Attributes:
        record: the message's content.
        message_type: what Flower calls its kind.
        run_id: Flower's number of the run.
        bundle_sha256: of the app bundle that the SuperLink offers with the run, computed here over its content.
    """

    record: RecordDict = field(repr=False)
    message_type: str
    run_id: int
    bundle_sha256: str
    _asked: Message = field(repr=False)
    _context: Context = field(repr=False)
    _client: RuntimeHttpClient = field(repr=False)
    _heartbeat: HeartbeatSender = field(repr=False)

    def reply(self, record: RecordDict, delivery_s: float = 0.0) -> None:
        """Answer and let go of the task.

        Args:
            record: the answer.
            delivery_s: how long to wait for the SuperNode to have passed it on, as before both are ended.

        Raises:
            NodeError: the SuperNode no longer knows the task, or cannot be reached for a minute; `holds_task` when
                it may be there and still wait.
        """
        answer = Message(record, reply_to=self._asked)
        try:
            push_message(self._client, answer, self._context)
            self._await_delivery(answer.metadata.message_id, delivery_s)
            push_task_output(
                client=self._client, context=self._context, sub_status=SubStatus.COMPLETED, details=""
            )
        except (httpx.HTTPError, ValueError) as error:
            is_there = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)
            raise _node_error("the reply was not taken", error, holds_task=is_there) from None
        finally:
            _let_go(self._client, self._heartbeat)

    def _await_delivery(self, object_id: str, delivery_s: float) -> None:
        """The SuperNode keeps a reply until it has sent it, or has given it up.

        SuperLink then gives the reply to the aggregator only while this site is signed in: so a moment more.
        """
        wanted = PullObjectRequest(
            node=Node(node_id=self._context.node_id), run_id=self.run_id, object_id=object_id
        )
        end_s = time.monotonic() + delivery_s
        while time.monotonic() < end_s and self._client.PullObject(wanted).object_found:
            time.sleep(_POLL_S)
        time.sleep(max(min(_FETCHED_WITHIN_S, end_s - time.monotonic()), 0.0))


class TaskSource:
    """Where tasks come from: the Runtime API of one SuperNode on this machine, started with --isolation process.

    Args:
        address: HOST:PORT of the SuperNode's Runtime API.
        secret: the content of the file that the SuperNode was given; None for a SuperNode without one.
    """

    def __init__(self, address: str, secret: bytes | None = None) -> None:
        self._address = address
        guards: list[ProtobufClientInterceptor] = []
        if secret is not None:
            guards.append(SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods={_ACQUIRE}))
        self._client = _new_client(address, guards, None)

    def next(self) -> HeldTask | None:
        """Take the oldest task that waits, at once; None when there is none.

        Raises:
            NodeError: the SuperNode does not answer, refuses the secret, or withholds the task's content; in this
                last case (`NodeError.holds_task`) it waits for a reply that nobody can give any more.
        """
        try:
            taken = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP]))
        except (httpx.HTTPError, ValueError) as error:
            # Without an answer it may have given us a task of which we know nothing.
            raise _node_error(
                "cannot be asked for tasks", error, holds_task=isinstance(error, httpx.ReadTimeout)
            ) from None
        if not (taken.HasField("task") and taken.token):
            return None
        retry = RetryInvoker(_delays_s, httpx.TransportError, max_tries=None, max_time=_LONGEST_RETRY_S)
        return _pull(_new_client(self._address, [RuntimeTokenHttpInterceptor(taken.token)], retry))

    def close(self) -> None:
        """Let go of the connection; a task in hand keeps its own."""
        self._client.close()


def _new_client(
    address: str, guards: Sequence[ProtobufClientInterceptor], retry: RetryInvoker | None
) -> RuntimeHttpClient:
    """A client without Flower's own retries, which answer a refusal by sending this process a SIGINT."""
    return RuntimeHttpClient.from_server_address(
        server_address=address,
        insecure=True,
        root_certificates=None,
        interceptors=[RuntimeVersionHttpInterceptor(component_name=_COMPONENT), *guards],
        retry_invoker=retry,
    )


def _pull(client: RuntimeHttpClient) -> HeldTask:
    heartbeat = HeartbeatSender(lambda: _beat(client))
    heartbeat.start()
    try:
        message, context, bundle = _pull_input(client)
    except (
        httpx.HTTPError,
        ValueError,
        RuntimeError,
        TypeError,
        ObjectPullError,
        UnexpectedObjectContentError,
    ) as error:
        _let_go(client, heartbeat)
        raise _node_error("took back what it offered", error, holds_task=True) from None
    bundle_sha256 = hashlib.sha256(bundle).hexdigest()  # what it says of itself proves nothing
    del bundle
    return HeldTask(
        record=message.content,
        message_type=message.metadata.message_type,
        run_id=context.run_id,
        bundle_sha256=bundle_sha256,
        _asked=message,
        _context=context,
        _client=client,
        _heartbeat=heartbeat,
    )


def _pull_input(client: RuntimeHttpClient) -> tuple[Message, Context, bytes]:
    """The message, its context and the app bundle, got as Flower's own `pull_task_input` gets them.

    But for one thing: the SuperNode offers a task first and fetches its content then. Flower's own asks for that
    again after 1, 3, 7, 15, 25 s and so on, which on a large model leaves a site idle for as long as 10 s.
    """
    given = client.PullTaskInput(PullTaskInputRequest())
    context = context_from_proto(given.context)
    pulled = client.PullMessages(PullAppMessagesRequest())
    if not pulled.messages_list:
        raise RuntimeError("a task without a message")
    tree, node = pulled.message_object_trees[0], Node(node_id=context.node_id)
    message = pull_and_inflate_object_from_tree(
        tree,
        make_pull_object_fn_protobuf(client.PullObject, node, context.run_id),
        make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, node, context.run_id),
        return_type=Message,
        max_time=_LONGEST_FETCH_S,
        max_concurrent_pulls=1,  # each asks again and again for what has not come yet
        max_tries_per_object=None,
        initial_backoff=_CONTENT_POLL_S,
        backoff_cap=_CONTENT_POLL_S,
    )
    message.metadata.__dict__["_message_id"] = tree.object_id  # its content does not hold it
    return message, context, given.fab.content


def _beat(client: RuntimeHttpClient) -> bool:
    """Say that the task is worked on; Flower's own function would end this process when the task is gone."""
    try:
        if not client.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success:
            log.warning("the SuperNode no longer knows the task in hand")
    except httpx.HTTPError as error:
        log.warning("the SuperNode does not take a sign of life: %s", type(error).__name__)
    return True


def _let_go(client: RuntimeHttpClient, heartbeat: HeartbeatSender) -> None:
    if heartbeat.is_running:
        heartbeat.stop()
    client.close()


def _delays_s() -> Generator[float, None, None]:
    return exponential(base_delay=0.2, max_delay=5)


def _node_error(what: str, error: Exception, holds_task: bool = False) -> NodeError:
    code = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
    return NodeError(f"SuperNode: {what}: {type(error).__name__}{code}: {error}".splitlines()[0], holds_task)
