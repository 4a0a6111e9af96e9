"""A local nginx that shows the site's certificate for SuperNode, which cannot do it itself.

SuperNode dials it on the loopback address, where it shows a certificate of its own; from there it goes on with
the node's certificate. Whoever can use the loopback port gains little: each call is signed with the node's key.

SITE_DIR/sidecar/    nginx.conf, loopback.crt, loopback.key, nginx's logs
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.sidecar_tls import make_loopback_certificate
from client.site_folder import KeyFolder, SiteFolder
from common.durable import storage_errors, write_durably
from common.errors import EnrollmentError, KeyFileError
from common.joining import address_of
from common.keyfiles import load_key, save_key
from common.nginx import CONFIG_FILE, own_nginx, quoted

SIDECAR_FOLDER = "sidecar"
DEFAULT_PORT = 18443
_CERTIFICATE, _KEY = "loopback.crt", "loopback.key"
_ABOUT = """\
Sidecar of the site {site} in the federation {federation}, made by `fedmets-site nginx`: change the command's
options, not this file. After `fedmets-site join` of a renewal make it anew and run: nginx -c {file} -s reload"""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What SuperNode is told instead of the gateway's address and the federation's authority.

    Attributes:
        address: for `--superlink`.
        root_certificate: for `--root-certificates`.
        config: for `nginx -c`.
    """

    address: str
    root_certificate: Path
    config: Path


def sidecar_folder(folder: SiteFolder) -> Path:
    """Where the configuration lies, and nginx's own files."""
    return folder.path.resolve() / SIDECAR_FOLDER


def loopback_certificate(folder: SiteFolder) -> Path:
    """Whom the SuperNode believes when it dials the sidecar; raises EnrollmentError before there is one."""
    path = sidecar_folder(folder) / _CERTIFICATE
    if not path.is_file():
        raise EnrollmentError(f"{path}: no such file; run fedmets-site nginx {folder.path}, which makes it")
    return path


def make_sidecar(folder: SiteFolder, port: int, now: datetime) -> Sidecar:
    """Write the sidecar's configuration, and the keys that it needs where they are missing.

    Raises:
        EnrollmentError: the site has not joined.
        KeyFileError: one of its keys cannot be used.
        StorageError, UserError: the files cannot be written, or nginx cannot be told the folder's name.
    """
    text = sidecar_configuration(folder, port)
    node_key_pem(folder.joined())
    place = sidecar_folder(folder)
    with storage_errors(folder.path):
        place.mkdir(mode=0o700, exist_ok=True)
    certificate = place / _CERTIFICATE
    make_loopback_certificate(certificate, place / _KEY, now)
    write_durably(place / CONFIG_FILE, text.encode())
    return Sidecar(address_of("127.0.0.1", port), certificate, place / CONFIG_FILE)


def sidecar_configuration(folder: SiteFolder, port: int = DEFAULT_PORT) -> str:
    """The text of nginx.conf. It names keys that `make_sidecar` makes.

    Args:
        folder: a site that has joined.
        port: on 127.0.0.1.

    Raises:
        EnrollmentError: it has not joined.
        UserError: nginx cannot be told the folder's name.
    """
    keys = folder.joined()
    kit = keys.kit().body
    place = sidecar_folder(folder)
    about = _ABOUT.format(site=kit.site, federation=kit.federation, file=place / "nginx.conf")
    http = f"""\
upstream gateway {{
    server {address_of(kit.hosts[0], kit.port)};
    keepalive 8;
    keepalive_timeout 30s;
}}

server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {quoted(place / _CERTIFICATE)};
    ssl_certificate_key {quoted(place / _KEY)};
    client_max_body_size 0;  # the gateway has the limit
    keepalive_requests 100000;

    location / {{ return 404; }}
    location = /health {{ proxy_pass https://gateway; }}
    location /v1/fleet/ {{ proxy_pass https://gateway; }}

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host {address_of(kit.hosts[0], kit.port)};
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_buffer_size 64k;
    proxy_buffers 4 64k;
    proxy_next_upstream off;
    proxy_read_timeout 120s;
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
    proxy_ssl_name {_certified_name(kit.hosts)};
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_trusted_certificate {quoted(keys.authority.resolve())};
    proxy_ssl_certificate {quoted(keys.node_certificate.resolve())};
    proxy_ssl_certificate_key {quoted(keys.node_pem.resolve())};
}}
"""
    return own_nginx(place, about, http)


def node_key_pem(keys: KeyFolder) -> Path:
    """The node's key as nginx reads it, beside the OpenSSH file and with mode 0600; made at the first call.

    Raises:
        KeyFileError: the node's key cannot be used, or node.pem is another key.
    """
    key = keys.node().key
    if not keys.node_pem.exists():
        save_key(keys.node_pem, key, None)
    elif load_key(keys.node_pem, None).public_key() != key.public_key():
        raise KeyFileError(f"{keys.node_pem}: not the key in {keys.node_key.name}; remove it and run this again")
    return keys.node_pem


def _certified_name(hosts: tuple[str, ...]) -> str:
    """What to look for in the gateway's certificate: nginx compares names there, never addresses.

    The certificate of every gateway names localhost besides, and the authority issues that to gateways alone.
    """
    return next((host for host in hosts if not _is_address(host)), "localhost")


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
