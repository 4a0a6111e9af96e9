"""Every name of Flower's that client/runtime_api.py leans on is where it was, and looks as it did.

When one of these fails after a change of flwr's version, read flwr/supernode/runtime/run_clientapp.py anew and
mend client/runtime_api.py; do not loosen the test.
"""

import importlib
import inspect
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import httpx
import pytest
from flwr.proto import message_pb2, node_pb2, runtime_pb2

from client.runtime_api import FLWR_VERSION, TaskSource
from client.supernode_main import COMMAND
from common.errors import NodeError
from server.superlink import free_port

SIGNATURES = {
    "flwr.common.serde:context_from_proto": ["context_proto"],
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_pull_object_fn_protobuf": [
        "pull_object_protobuf",
        "node",
        "run_id",
    ],
    "flwr.supercore.inflatable.inflatable_protobuf_utils:make_confirm_message_received_fn_protobuf": [
        "confirm_message_received_protobuf",
        "node",
        "run_id",
    ],
    "flwr.supercore.inflatable.inflatable_utils:pull_and_inflate_object_from_tree": [
        "object_tree",
        "pull_object_fn",
        "confirm_object_received_fn",
        "return_type",
        "max_concurrent_pulls",
        "max_time",
        "max_tries_per_object",
        "initial_backoff",
        "backoff_cap",
    ],
    "flwr.supernode.runtime.run_clientapp:push_message": ["client", "message", "context"],
    "flwr.supernode.runtime.run_clientapp:push_task_output": ["client", "context", "sub_status", "details"],
    "flwr.supercore.runtime:RuntimeHttpClient.from_server_address": [
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
        "retry_invoker",
    ],
    "flwr.supercore.runtime:RuntimeHttpClient.AcquireTask": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.SendTaskHeartbeat": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.PullObject": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.PullTaskInput": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.PullMessages": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.ConfirmMessageReceived": ["self", "request"],
    "flwr.supercore.runtime:RuntimeHttpClient.close": ["self"],
    "flwr.supercore.interceptors:RuntimeVersionHttpInterceptor": ["component_name"],
    "flwr.supercore.interceptors:RuntimeTokenHttpInterceptor": ["token"],
    "flwr.supercore.interceptors:SuperExecAuthHttpInterceptor": ["master_secret", "protected_methods"],
    "flwr.supercore.heartbeat:HeartbeatSender": ["heartbeat_fn"],
    "flwr.supercore.heartbeat:HeartbeatSender.start": ["self"],
    "flwr.supercore.heartbeat:HeartbeatSender.stop": ["self"],
    "flwr.supercore.retry:exponential": ["base_delay", "multiplier", "max_delay"],
}
FIELDS = {
    runtime_pb2.AcquireTaskRequest: {"supported_task_types"},
    runtime_pb2.AcquireTaskResponse: {"task", "token"},
    runtime_pb2.PullTaskInputResponse: {"context", "run", "fab", "task_id"},
    runtime_pb2.PullAppMessagesResponse: {"messages_list", "message_object_trees"},
    runtime_pb2.SendTaskHeartbeatResponse: {"success"},
    message_pb2.PullObjectRequest: {"node", "run_id", "object_id"},
    message_pb2.PullObjectResponse: {"object_found"},
    node_pb2.Node: {"node_id"},
}


def found(place: str) -> object:
    module, _, path = place.partition(":")
    value: object = importlib.import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_flower_is_pinned_to_the_version_that_was_read() -> None:
    assert version("flwr") == FLWR_VERSION
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert [one for one in project["dependencies"] if one.startswith("flwr")] == [f"flwr=={FLWR_VERSION}"]


@pytest.mark.parametrize("place", SIGNATURES)
def test_what_is_called_takes_what_it_is_given(place: str) -> None:
    signature = inspect.signature(found(place))  # type: ignore[arg-type]
    assert list(signature.parameters) == SIGNATURES[place]


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: str(kind.DESCRIPTOR.name))
def test_the_protocols_records_have_the_fields(kind: type) -> None:
    assert set(kind.DESCRIPTOR.fields_by_name) >= FIELDS[kind]  # type: ignore[attr-defined]


def test_the_constants_are_what_they_were() -> None:
    constant = importlib.import_module("flwr.common.constant")
    assert (constant.SubStatus.COMPLETED, constant.SubStatus.FAILED) == ("completed", "failed")
    assert importlib.import_module("flwr.supercore.constant").TaskType.CLIENT_APP == "flwr-clientapp"
    (command,) = entry_points(group="console_scripts", name=COMMAND)
    assert command.value == "flwr.supernode.cli:flower_supernode"


def test_a_retry_invoker_takes_its_limits() -> None:
    names = inspect.signature(found("flwr.supercore.retry:RetryInvoker")).parameters  # type: ignore[arg-type]
    assert list(names)[:4] == ["wait_gen_factory", "recoverable_exceptions", "max_tries", "max_time"]


def test_a_node_that_is_not_there_is_an_error_of_ours() -> None:
    source = TaskSource(f"127.0.0.1:{free_port()}", b"secret")
    with pytest.raises(NodeError, match="ConnectError") as away:
        source.next()
    assert not away.value.holds_task
    source.close()


def test_a_question_without_an_answer_may_have_taken_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    source = TaskSource("127.0.0.1:1")

    def slow(request: object) -> None:
        raise httpx.ReadTimeout("timed out")

    monkeypatch.setattr(source._client, "AcquireTask", slow)
    with pytest.raises(NodeError) as silent:
        source.next()
    assert silent.value.holds_task
    source.close()
