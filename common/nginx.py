"""What an nginx configuration of either end begins with: a whole file, for an nginx of its own, not root's."""

from pathlib import Path

from common.errors import UserError

CONFIG_FILE = "nginx.conf"
_UNQUOTABLE = frozenset('"\\$\n\r')


def own_nginx(folder: Path, about: str, http: str) -> str:
    """A whole configuration for `nginx -c FOLDER/nginx.conf`; nothing of it lies outside the folder.

    Args:
        folder: where pid file, logs and temporary files go; it must exist when nginx starts.
        about: comment lines for the top, without `#`.
        http: what stands in the http block.

    Raises:
        UserError: the folder's name holds a character that nginx would take for its own.
    """
    place = folder.resolve()
    comments = "\n".join(f"# {line}".rstrip() for line in about.splitlines())
    kinds = {"client_body": "body", "proxy": "proxy", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
    temporary = "\n".join(f"{kind}_temp_path {quoted(place / f'tmp-{name}')};" for kind, name in kinds.items())
    top = f"""\
log_format refused '$time_iso8601 $remote_addr $status "$request" $ssl_client_verify';
map $status $refused {{ ~^[23] 0; default 1; }}
access_log {quoted(place / "refused.log")} refused if=$refused;
server_tokens off;
tcp_nodelay on;
reset_timedout_connection on;
{temporary}
"""
    return f"""\
{comments}
worker_processes auto;
worker_shutdown_timeout 5s;
pid {quoted(place / "nginx.pid")};
error_log {quoted(place / "error.log")} warn;

events {{ worker_connections 2048; }}

http {{
{_indented(top + chr(10) + http)}}}
"""


def quoted(path: Path) -> str:
    """A path as nginx takes it, spaces included; raises UserError when it cannot be written down."""
    text = str(path)
    if _UNQUOTABLE & set(text):
        raise UserError(
            f"{text!r}: nginx cannot be told this path; use a folder without quotes, backslashes and $"
        )
    return f'"{text}"'


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
