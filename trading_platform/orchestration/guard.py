"""Protect Dagster's UI from requests of foreign web pages (DNS rebinding, cross-site requests, framing).

Dagster's web application accepts any request, and listening on the loopback does not help: the user's browser sends
requests to this machine on behalf of any page. Refused are another Host name, another Origin, a change by GET, and a
body that a plain form can send; and no page may show the UI in a frame.

Pure decision (`refusal`) and its ASGI shell (`Guard`). Imports no Dagster; what is guarded is webserver.py.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from trading_platform.domain.inputs.host import PATTERN, Host

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine in a browser, with any port: a tunnel may end on another one."""

_GRAPHQL = "/graphql"
_READING = ("GET", "HEAD", "OPTIONS")
_GRAPHQL_TYPES = ("application/json", "application/graphql")
_FORM_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
_ORIGIN = re.compile(rf"(https?)://{PATTERN}", re.ASCII)
_DEFAULT_PORT = {"http": "80", "https": "443"}
_ANCESTORS = "frame-ancestors 'none'"


class RequestRefusal(NamedTuple):
    """Why a request is not passed on; `status` is HTTP's."""

    status: int
    reason: str


def refusal(scope: Scope, hosts: Sequence[Host] = ()) -> RequestRefusal | None:
    """Tell why a request may not pass, None if it may.

    Parameters
    ----------
    scope : of ASGI, ``http`` or ``websocket``.
    hosts : that may open the UI besides `LOOPBACK`; without a port: on any.
    """
    headers = _Headers(scope)
    host = _host(headers, hosts)
    if isinstance(host, RequestRefusal):
        return host
    method = scope.get("method", "GET")
    graphql = str(scope["path"]).rstrip("/") == _GRAPHQL
    refused = _foreign(headers, host, hosts) or _from_elsewhere(headers, scope, method, graphql=graphql)
    if refused is not None or scope["type"] != "http":
        return refused
    if method not in _READING:
        return _unfit_body(headers, graphql=graphql)
    return _change_by_get(scope) if graphql else None


class _Headers:
    """The headers of a request, names in small letters."""

    def __init__(self, scope: Scope) -> None:
        self._pairs = [(name.lower(), value) for name, value in scope["headers"]]

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1").strip() for key, value in self._pairs if key == name]


def _host(headers: _Headers, hosts: Sequence[Host]) -> Host | RequestRefusal:
    """Return the host that was asked for: another name means a foreign page that had its own name lead here."""
    said = headers.all(b"host")
    host = Host.of(said[0]) if len(said) == 1 else None
    if host is None:
        return RequestRefusal(400, "one valid Host header is needed")
    if host.name in LOOPBACK or any(host.name == known.name and known.port in {None, host.port} for known in hosts):
        return host
    return RequestRefusal(
        403, f"{host.name} may not open the UI: use 127.0.0.1, or name the host in the setting UI__HOSTS"
    )


def _foreign(headers: _Headers, host: Host, hosts: Sequence[Host]) -> RequestRefusal | None:
    """Refuse another page's origin; programs that are no browser send none."""
    for said in headers.all(b"origin"):
        origin = _ORIGIN.fullmatch(said.lower())
        if origin is None:
            return RequestRefusal(403, "pages of an unknown origin may not use the UI")
        default = _DEFAULT_PORT[origin[1]]
        name, port = origin[2], origin[3] or default
        same = (name, port) == (host.name, host.port or default)
        # Behind a proxy that calls us by another name, the page's own name is the one that was set.
        if not same and not any(name == known.name and port == (known.port or default) for known in hosts):
            return RequestRefusal(403, f"pages of {origin[1]}://{name}:{port} may not use the UI")
    return None


def _from_elsewhere(headers: _Headers, scope: Scope, method: str, *, graphql: bool) -> RequestRefusal | None:
    """Refuse what the browser itself says another page asked for, except that a person followed a link to a page."""
    if all(site in {"same-origin", "none"} for site in headers.all(b"sec-fetch-site")):
        return None
    a_link = (headers.all(b"sec-fetch-mode"), headers.all(b"sec-fetch-dest")) == (["navigate"], ["document"])
    if a_link and method == "GET" and scope["type"] == "http" and not graphql:
        return None
    return RequestRefusal(403, "other pages may not use the UI")


def _unfit_body(headers: _Headers, *, graphql: bool) -> RequestRefusal | None:
    """Refuse a body that a form of any page can send without asking first."""
    types = [said.partition(";")[0].strip().lower() for said in headers.all(b"content-type")]
    # Exactly one, whole: Dagster takes `text/plain; x=application/json` for JSON, and none for "look at the address".
    if graphql and (len(types) != 1 or types[0] not in _GRAPHQL_TYPES):
        return RequestRefusal(415, "send GraphQL with one Content-Type, application/json")
    if any(kind in _FORM_TYPES or "," in kind for kind in types):
        return RequestRefusal(415, "send application/json")
    return None


def _change_by_get(scope: Scope) -> RequestRefusal | None:
    """Refuse a GraphQL document in the address that does more than ask."""
    said = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    for query in [value for name, value in said if name == "query"]:
        try:
            document = parse(query)
        except GraphQLError:
            continue  # Dagster parses it alike, and says what is wrong with it
        operations = [part.operation for part in document.definitions if isinstance(part, OperationDefinitionNode)]
        if any(operation is not OperationType.QUERY for operation in operations):
            return RequestRefusal(405, "a GET may only ask; send what changes something by POST")
    return None


class Guard:
    """An ASGI application that passes on to another what may pass.

    Parameters
    ----------
    application : what is guarded.
    hosts : that may open the UI besides the loopback, ``name`` or ``name:port``.
    """

    def __init__(self, application: Application, hosts: Sequence[str] = ()) -> None:
        self._application = application
        self._hosts = tuple(host for host in map(Host.of, hosts) if host is not None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        refused = refusal(scope, self._hosts)
        if refused is None:
            await self._application(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused.reason})
        else:
            await _answer(_unframed(send), refused)


async def _answer(send: Send, refused: RequestRefusal) -> None:
    body = f"{refused.reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"x-content-type-options", b"nosniff"), *([(b"allow", b"POST")] if refused.status == 405 else [])]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _unframed(send: Send) -> Send:
    """Return a `send` that adds to every answer that no page may show it in a frame."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _without_frames(message.get("headers", ()))}
        await send(message)

    return sent


def _without_frames(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    policy = b"content-security-policy"
    kept = [(name, value) for name, value in headers if name.lower() not in {b"x-frame-options", policy}]
    policies = [value.decode("latin-1").rstrip("; ") for name, value in headers if name.lower() == policy]
    # Added to every policy: some readers see only the first, and all of them are enforced.
    written = [f"{said}; {_ANCESTORS}" for said in policies if said] or [_ANCESTORS]
    return [*kept, (b"x-frame-options", b"DENY"), *((policy, said.encode("latin-1")) for said in written)]
