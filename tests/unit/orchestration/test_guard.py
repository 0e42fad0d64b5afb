"""The guard before Dagster's UI: what a page elsewhere can make a browser send is refused, the UI's own passes."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from trading_platform.domain.inputs.host import Host
from trading_platform.orchestration.guard import Guard, refusal

UI = "127.0.0.1:3000"
MUTATION = "mutation { launchRun { __typename } }"


def asked(
    method: str = "GET", path: str = "/", query: str = "", *, kind: str = "http", host: str | None = UI, **headers: str
) -> dict[str, Any]:
    """Return a request as ASGI has it; a header's underscores are hyphens."""
    pairs = [] if host is None else [(b"host", host.encode())]
    pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": pairs}
    return scope | ({"method": method} if kind == "http" else {})


def status(scope: dict[str, Any], *hosts: str) -> int | None:
    """Return the status of the refusal, None if the request passes."""
    refused = refusal(scope, [found for found in map(Host.of, hosts) if found])
    return None if refused is None else refused.status


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000", "localhost:8080"])
def test_this_machine_passes_by_each_of_its_names(host: str) -> None:
    """Loopback names on any port: a tunnel ends on another one."""
    assert status(asked(host=host)) is None


@pytest.mark.parametrize(
    "host",
    "evil.example evil.example:3000 localhost.evil.example:3000 127.0.0.1.evil.example:3000 0.0.0.0:3000 "
    "127.0.0.1@evil.example 192.168.1.5:3000 notlocalhost:3000 localhost:3000,evil.example 127.0.0.1:x".split(),
)
def test_another_name_that_leads_here_is_refused(host: str) -> None:
    """DNS rebinding: the page's own name resolves to the loopback, the Host header still tells it."""
    for kind in ("http", "websocket"):
        assert status(asked(host=host, kind=kind)) in {400, 403}
    assert status(asked("POST", "/graphql", host=host, content_type="application/json")) in {400, 403}


def test_exactly_one_host_is_needed() -> None:
    """None, an empty one and two are refused."""
    twice = asked()
    twice["headers"].append((b"host", b"evil.example"))
    assert [status(asked(host=None)), status(asked(host="")), status(twice)] == [400, 400, 400]


def test_hosts_that_the_settings_name_pass() -> None:
    """With a port only on that one; what resembles them does not pass."""
    assert status(asked(host="ticks.example.com"), "ticks.example.com") is None
    assert status(asked(host="ticks.example.com:3000"), "ticks.example.com") is None
    assert status(asked(host="ticks.example.com:3001"), "ticks.example.com:3000") == 403
    assert status(asked(host="x.ticks.example.com"), "ticks.example.com") == 403
    by_proxy = asked("POST", "/graphql", origin="https://ticks.example.com", content_type="application/json")
    assert status(by_proxy, "ticks.example.com") is None
    other_port = asked("POST", "/graphql", origin="https://ticks.example.com:8443", content_type="application/json")
    assert status(other_port, "ticks.example.com") == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://127.0.0.1:3001",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://127.0.0.1:3000.evil.example",
        "http://127.0.0.1:3000/",
        "chrome-extension://abc",
        "file://",
    ],
)
def test_another_origin_is_refused(origin: str, kind: str) -> None:
    """Only a page that was loaded under the very name and port that is asked may send what carries an origin."""
    assert status(asked("POST", "/graphql", kind=kind, origin=origin, content_type="application/json")) == 403
    assert status(asked("GET", "/", kind=kind, origin=origin)) == 403


def test_the_uis_own_requests_pass() -> None:
    """Its GraphQL, its socket, its files, and a program that sends no origin."""
    own = {"origin": "http://127.0.0.1:3000", "sec_fetch_site": "same-origin"}
    assert status(asked("POST", "/graphql", content_type="application/json", **own)) is None
    assert status(asked("POST", "/graphql", content_type="application/json; charset=utf-8")) is None
    assert status(asked("POST", "/graphql", content_type="application/graphql")) is None
    assert status(asked(kind="websocket", path="/graphql", origin="http://127.0.0.1:3000")) is None
    assert status(asked("GET", "/assets/main.js", sec_fetch_site="same-origin", sec_fetch_dest="script")) is None
    assert status(asked("GET", "/", sec_fetch_site="none", sec_fetch_mode="navigate")) is None
    assert status(asked("POST", "/report_asset_materialization/a", "x=1")) is None
    assert status(asked(host="localhost", path="/graphql", kind="websocket", origin="http://localhost")) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_what_the_browser_says_another_page_asked_for_is_refused(site: str) -> None:
    """But a link that a person follows opens the page."""
    for method, path in (("GET", "/"), ("GET", "/graphql"), ("POST", "/graphql"), ("POST", "/")):
        assert status(asked(method, path, sec_fetch_site=site, content_type="application/json")) == 403
    assert status(asked(kind="websocket", sec_fetch_site=site, sec_fetch_mode="websocket")) == 403
    link = {"sec_fetch_site": site, "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status(asked("GET", "/assets/bars", **link)) is None
    assert status(asked("GET", "/graphql", urlencode({"query": "{ version }"}), **link)) == 403
    assert status(asked("POST", "/graphql", content_type="application/json", **link)) == 403
    assert status(asked("GET", "/", **link | {"sec_fetch_dest": "iframe"})) == 403


@pytest.mark.parametrize(
    "query",
    [
        urlencode({"query": MUTATION}),
        urlencode({"query": "query A { version } " + MUTATION.replace("mutation", "mutation B"), "operationName": "A"}),
        urlencode({"query": "mutation { a: launchRun { ...F } b: launchRun { ...F } } fragment F on X { y }"}),
        urlencode({"query": "# a comment\n\ufeff,,, mutation M($a: Int = 1) @x { launchRun }"}),
        urlencode({"query": "subscription { pipelineRunLogs }"}),
        urlencode([("query", MUTATION), ("query", "{ version }")]),
        urlencode([("query", "{ version }"), ("query", MUTATION)]),
        "%71uery=" + quote(MUTATION).replace("m", "%6d"),
        "query=mutation+%7BlaunchRun%7D",
        "query=" + quote("mutation{x}") + "&extensions=" + quote('{"persistedQuery":{"version":1}}'),
    ],
)
def test_a_get_changes_nothing(query: str) -> None:
    """However it is written: more operations, fragments, comments, escapes, given twice."""
    for path in ("/graphql", "/graphql/"):
        for method in ("GET", "HEAD"):
            assert status(asked(method, path, query)) == 405
        assert status(asked("GET", path, query, accept="text/html")) == 405


def test_a_get_may_ask() -> None:
    """Queries pass, with the word in a name or a text as well; what cannot be parsed is Dagster's to explain."""
    for query in (
        "{ version }",
        'query mutation { x(a: "mutation { y }") }',
        "mutation {",
        "",
        "fragment F on X { y }",
    ):
        assert status(asked("GET", "/graphql", urlencode({"query": query}))) is None
    assert status(asked("GET", "/assets", urlencode({"query": MUTATION}))) is None


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "TEXT/PLAIN; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; x=application/json",
        "text/plain, application/json",
        "application/json, text/plain",
    ],
)
def test_a_body_that_a_form_can_send_is_refused(kind: str) -> None:
    """Also where a parameter says JSON: Dagster looks for the word anywhere."""
    assert status(asked("POST", "/graphql", content_type=kind)) == 415
    assert status(asked("POST", "/report_asset_materialization/ticks", content_type=kind)) == 415


def test_graphql_needs_its_content_type() -> None:
    """Without one Dagster would take the mutation from the address."""
    assert status(asked("POST", "/graphql", urlencode({"query": MUTATION}))) == 415
    assert status(asked("POST", "/graphql", content_type="application/octet-stream")) == 415
    twice = asked("POST", "/graphql", content_type="application/json")
    twice["headers"].append((b"content-type", b"text/plain"))
    assert status(twice) == 415


def answered(scope: dict[str, Any], *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """Return what a guarded application sends."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"passed"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    asyncio.run(Guard(application)(scope, receive, send))
    return sent


def test_no_page_may_show_ours_in_a_frame() -> None:
    """Every answer says so, a refusal too, and Dagster's own policy is kept."""
    policy = (b"Content-Security-Policy", b"base-uri 'none';")
    start, body = answered(asked(), policy, (b"X-Frame-Options", b"SAMEORIGIN"))
    assert body["body"] == b"passed"
    assert dict(start["headers"]) == {
        b"x-frame-options": b"DENY",
        b"content-security-policy": b"base-uri 'none'; frame-ancestors 'none'",
    }
    refused, why = answered(asked(host="evil.example"))
    assert refused["status"] == 403 and b"UI__HOSTS" in why["body"] and why["body"].count(b"\n") == 1
    assert dict(refused["headers"])[b"content-security-policy"] == b"frame-ancestors 'none'"


def test_a_refused_socket_is_closed_before_it_opens() -> None:
    """The server answers 403."""
    (only,) = answered(asked(kind="websocket", origin="null"))
    assert only["type"] == "websocket.close"
