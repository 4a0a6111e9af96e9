"""The gateway's counters and rules without a socket."""

import h11
import pytest

from common.errors import ConfigError
from server.gateway_config import GatewayLimits, read_gateway_config
from server.gateway_limits import BodyBudget, RefusalLog, Seats, TokenBuckets, limited_as
from server.gateway_routes import FLEET_CALLS, Refused, admit


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 5, clock)
    assert [buckets.take("a") for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take("b")
    clock.now_s = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [True, False]
    clock.now_s = 1000.0
    assert sum(buckets.take("a") for _ in range(10)) == 5


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    buckets = TokenBuckets(1, 5, clock)
    for number in range(3000):
        clock.now_s = number / 10
        buckets.take(str(number))
    assert len(buckets) < 1100


def test_the_default_rate_lets_models_of_400_mb_pass_for_eight_sites_at_one_address() -> None:
    buckets = TokenBuckets(GatewayLimits().requests_per_s, GatewayLimits().burst, Clock())
    assert all(buckets.take("a") for _ in range(8 * 100))


def test_seats_are_counted_by_address() -> None:
    seats = Seats(2)
    assert [seats.take("a"), seats.take("a"), seats.take("a"), seats.take("b")] == [True, True, False, True]
    seats.give_back("a")
    assert seats.take("a")


def test_bodies_under_way_have_a_sum() -> None:
    budget = BodyBudget(100, 60)
    with budget.reserved("a", 60):
        with pytest.raises(Refused, match="too many bodies"), budget.reserved("a", 1):
            pass
        with pytest.raises(Refused), budget.reserved("b", 41):
            pass
        with budget.reserved("b", 40):
            pass
    with budget.reserved("a", 60), budget.reserved("b", 40):
        pass


def test_a_flood_of_refusals_does_not_fill_the_log() -> None:
    clock, lines = Clock(), list[str]()
    log = RefusalLog(lines.append, clock)
    for _ in range(1000):
        log.note("192.0.2.7", "404")
    assert len(lines) == 200
    clock.now_s = 1.0
    log.note("192.0.2.7", "404")
    assert lines[200:] == ["800 refusals were left out here", "refused 192.0.2.7 404"]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1:2", "2001:db8::/64"),
        ("2001:db8::9:9", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_who_counts_as_one_client(address: str, client: str) -> None:
    assert limited_as(address) == client


def test_every_call_of_flowers_fleet_api_is_either_forwarded_or_the_aggregators_own() -> None:
    """Fails when Flower renames or adds a call."""
    from flwr.superlink.routers.fleet.router import router

    calls = {getattr(route, "path", "").removeprefix("/v1/fleet/") for route in router.routes}
    assert calls == {*FLEET_CALLS, "register-node", "unregister-node"}


def test_the_largest_chunk_of_flower_fits_three_times() -> None:
    from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE

    assert GatewayLimits().body_bytes > 3 * FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE


@pytest.mark.parametrize(
    "target",
    [
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/",
        "/v1/fleet/push-object/",
        "/v1/fleet/push-object?x=1",
        "/v1/fleet/push-object#x",
        "//v1/fleet/push-object",
        "/v1//fleet/push-object",
        "/v1/control/../fleet/push-object",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/%70ush-object",
        "/v1/fleet/push-object%00",
        "/V1/fleet/push-object",
        "/v1/fleet/push-object;x",
        "https://fed/v1/fleet/push-object",
        "http://127.0.0.1:18000/v1/control/list-runs",
        "/health/",
        "/docs",
    ],
)
def test_only_exact_paths_pass(target: str) -> None:
    request = h11.Request(method="POST", target=target, headers=[("host", "a"), ("content-length", "0")])
    with pytest.raises(Refused) as refused:
        admit(request, "127.0.0.1:18000", "192.0.2.7", 100)
    assert refused.value.status == 404


def test_a_configuration_that_does_not_fit_names_its_faults(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "gateway.json"
    file.write_text('{"port": 70000, "limits": {"burst": 0}}')
    with pytest.raises(ConfigError, match=r"port: .*certificate: .*limits\.burst: "):
        read_gateway_config(file)
    with pytest.raises(ConfigError, match="cannot read"):
        read_gateway_config(file.with_name("none"))
