"""nginx in the gateway's place, for production: the same paths, the same limits, client certificates if asked for.

What it does otherwise than the built-in gateway: `client_body_timeout` and `send_timeout` are between two reads or
writes and not for a whole body, connections count while they have a request, and a body may come chunked.
"""

from dataclasses import dataclass, field
from pathlib import Path

from common.keyfiles import read_private_file
from common.nginx import own_nginx, quoted
from server.gateway_config import GatewayLimits
from server.gateway_routes import FLEET_CALLS
from server.provisioning import ServerFolder

NGINX_FOLDER = "nginx"
_ABOUT = """\
Gateway of the federation {name}, made by `fedmets-server nginx`: change the command's options, not this file.
After `fedmets-server rotate` make it anew. After that, and after `fedmets-server remove` (nginx reads the
revocation list when it starts), run: nginx -c {file} -s reload"""


@dataclass(frozen=True, slots=True)
class NginxOptions:
    """How nginx stands in front of SuperLink.

    Attributes:
        superlink_port: SuperLink's, on 127.0.0.1.
        client_certificates: ask for a node certificate of this federation that is not revoked. SuperNode cannot
            show one itself; see `fedmets-site nginx`.
        listen: address; the port is the federation's.
        limits: as for the built-in gateway.
    """

    superlink_port: int
    client_certificates: bool = False
    listen: str = "0.0.0.0"
    limits: GatewayLimits = field(default_factory=GatewayLimits)


def nginx_folder(folder: ServerFolder) -> Path:
    """Where the configuration lies, and nginx's own files."""
    return folder.path.resolve() / NGINX_FOLDER


def nginx_configuration(folder: ServerFolder, options: NginxOptions) -> str:
    """The text of nginx.conf; it names the newest TLS key.

    A request line passes as a whole or not at all: nginx compares locations with a decoded path and would forward
    the undecoded one.

    Raises:
        EnrollmentError: no federation or no keys in this folder.
        KeyFileError: the TLS key is open to others, which nginx itself would not mind.
        UserError: nginx cannot be told the folder's name.
    """
    read_private_file(folder.server_keys().tls_key)
    place = nginx_folder(folder)
    about = _ABOUT.format(name=folder.federation.name, file=place / "nginx.conf")
    return own_nginx(place, about, _http(folder, options))


def _http(folder: ServerFolder, options: NginxOptions) -> str:
    limits = options.limits
    calls = "|".join(FLEET_CALLS)
    host = f"[{options.listen}]" if ":" in options.listen else options.listen
    return f"""\
map $request $forwarded {{
    "~^POST /v1/fleet/(?:{calls}) HTTP/1\\.1$" 1;
    "~^(?:GET|HEAD) /health HTTP/1\\.[01]$" 1;
    default 0;
}}
limit_req_zone $binary_remote_addr zone=requests:10m rate={max(1, round(limits.requests_per_s))}r/s;
limit_conn_zone $binary_remote_addr zone=connections:10m;

upstream superlink {{
    server 127.0.0.1:{options.superlink_port};
    keepalive 64;
    keepalive_timeout 2s;  # SuperLink closes after 5 s, and a request must not meet that
}}

server {{
    listen {host}:{folder.federation.port} ssl;
{_tls(folder, options.client_certificates)}
    client_max_body_size {limits.body_bytes};
    client_header_buffer_size 4k;
    large_client_header_buffers 4 {limits.header_bytes};
    client_header_timeout {limits.header_s:.0f}s;
    client_body_timeout {limits.body_s:.0f}s;
    send_timeout {limits.body_s:.0f}s;
    keepalive_timeout {limits.idle_s:.0f}s;
    keepalive_requests 100000;

    if ($forwarded = 0) {{ return 404; }}

    location / {{
        limit_req zone=requests burst={limits.burst} nodelay;
        limit_conn connections {limits.connections_per_address};
{_proxy(folder, limits, options.superlink_port)}    }}
}}
"""


def _tls(folder: ServerFolder, client_certificates: bool) -> str:
    keys, authority = folder.server_keys(), quoted(folder.authority_certificate.resolve())
    lines = [
        f"ssl_certificate {quoted(keys.tls_certificate.resolve())};",
        f"ssl_certificate_key {quoted(keys.tls_key.resolve())};",
        "ssl_protocols TLSv1.2 TLSv1.3;",
    ]
    if client_certificates:
        lines += [
            "ssl_verify_client on;",
            "ssl_verify_depth 1;",
            f"ssl_client_certificate {authority};",
            f"ssl_crl {quoted(folder.revocation_list.resolve())};",
        ]
    return "".join(f"    {line}\n" for line in lines)


def _proxy(folder: ServerFolder, limits: GatewayLimits, superlink_port: int) -> str:
    """Bodies pass as they come; SuperLink sees no forwarding header that a client made up."""
    lines = [
        "proxy_pass https://superlink;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        f"proxy_set_header Host 127.0.0.1:{superlink_port};",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        *(
            f'proxy_set_header {name} "";'
            for name in ("Forwarded", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto")
        ),
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "proxy_buffer_size 64k;",
        "proxy_buffers 4 64k;",
        "proxy_next_upstream off;",
        "proxy_connect_timeout 5s;",
        f"proxy_send_timeout {limits.body_s:.0f}s;",
        f"proxy_read_timeout {limits.response_s:.0f}s;",
        "proxy_ssl_verify on;",
        "proxy_ssl_name localhost;",
        f"proxy_ssl_trusted_certificate {quoted(folder.authority_certificate.resolve())};",
    ]
    return "".join(f"        {line}\n" for line in lines)
