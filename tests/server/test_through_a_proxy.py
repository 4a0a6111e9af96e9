"""A hospital behind an HTTPS proxy: its daemon reaches a real SuperLink through the proxy and the gateway."""

from datetime import UTC, datetime
from pathlib import Path

from client.daemon_status import site_status
from server.gateway_config import GatewayLimits
from tests.client.gateway_stand import proxy
from tests.server.fleet import Fleet, daemon, wait_until
from tests.server.gateways import gateway


def test_a_sites_daemon_signs_in_through_the_hospitals_proxy(fleet: Fleet, tmp_path: Path) -> None:
    site, port = fleet.site("south"), fleet.server.federation.port
    with (
        gateway(fleet.server, tmp_path, fleet.superlink_port, GatewayLimits(), fleet.host, port),
        proxy("Basic bWU6c2VjcmV0") as (proxy_port, asked),
        daemon(site, f'proxy = "http://me:secret@127.0.0.1:{proxy_port}"'),
    ):
        connected = wait_until(lambda: site_status(site, datetime.now(UTC)).connected)
        assert connected, (site.path / "logs" / "supernode.log").read_text()
        assert set(asked) == {f"{fleet.host}:{port}"}
