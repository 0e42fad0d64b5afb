"""Dagster's UI as `up` serves it: itself it works, in a real browser too, and no page elsewhere can drive it."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import pytest
import websockets.sync.client
from websockets.exceptions import InvalidStatus

from tests.support.waiting import wait_until
from trading_platform.commands.support.stack import free_port
from trading_platform.orchestration.dagster_home import prepare

CHROMIUM = shutil.which("chromium")
SET = 'mutation { setConcurrencyLimit(concurrencyKey: "%s", limit: 1) }'
"""A mutation that can be looked for afterwards."""
GET = "{ instance { concurrencyLimits { concurrencyKey } } }"
HIJACKER = """<iframe name="away"></iframe><form target="away" method="post"></form>
<script>
const ui = "http://%s/graphql"
const set = key => 'mutation { setConcurrencyLimit(concurrencyKey: "' + key + '", limit: 1) }'
const address = key => ui + "?query=" + encodeURIComponent(set(key))
const post = (key, options) => fetch(ui, {method: "POST", body: JSON.stringify({query: set(key)}), ...options})
const tries = {
  get: () => fetch(address("get"), {mode: "no-cors"}),
  text: () => post("text", {mode: "no-cors"}),
  json: () => post("json", {headers: {"Content-Type": "application/json"}}),
  socket: () => new Promise((opened, refused) => {
    const socket = new WebSocket(ui.replace("http", "ws"), "graphql-ws")
    socket.onopen = opened
    socket.onerror = refused
  }),
  form: () => new Promise(done => {
    document.forms[0].action = address("form")
    document.querySelector("iframe").onload = done
    document.forms[0].submit()
  }),
}
const told = {}
const all = Object.entries(tries).map(
  ([name, go]) => go().then(() => { told[name] = "sent" }, () => { told[name] = "refused" }))
Promise.all(all).then(() => { document.title = JSON.stringify(told) })
</script>"""
"""A page that tries all that a page can; its title is what became of it."""


class Ui(NamedTuple):
    """A running webserver."""

    host: str
    folder: Path

    def limits(self) -> set[str]:
        """Return what mutations have set so far."""
        answer = httpx.post(f"http://{self.host}/graphql", json={"query": GET}, timeout=20).json()
        return {limit["concurrencyKey"] for limit in answer["data"]["instance"]["concurrencyLimits"]}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Serve the UI of an empty platform that knows no code location."""
    root = tmp_path_factory.mktemp("ui")
    workspace = root / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    host = f"127.0.0.1:{free_port(0)}"
    words = ["-m", "trading_platform.orchestration.webserver", "--workspace", str(workspace), "--port"]
    environ = {**os.environ, "DAGSTER_HOME": str(prepare(root / "data")), "TRADING_PLATFORM_UI__HOSTS": "Known.example"}
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *words, host.rpartition(":")[2]], cwd=root, env=environ, stdout=log, stderr=log
        )
    try:

        def answers() -> bool:
            assert server.poll() is None, (root / "log").read_text()
            try:
                return httpx.get(f"http://{host}/server_info", timeout=20).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, timeout_s=60, every_s=0.1, what="the webserver")
        yield Ui(host, root)
    finally:
        server.terminate()
        server.wait(20)


def test_only_the_uis_own_requests_change_anything(ui: Ui) -> None:
    """A mutation by POST does; by GET, from elsewhere, under another name, or as a form's body it does not."""
    url = f"http://{ui.host}/graphql"
    tried = {
        "get": httpx.get(f"{url}?{urlencode({'query': SET % 'get'})}"),
        "slash": httpx.get(f"{url}/?{urlencode({'query': SET % 'slash'})}", follow_redirects=True),
        "host": httpx.post(url, json={"query": SET % "host"}, headers={"Host": "evil.example"}),
        "origin": httpx.post(url, json={"query": SET % "origin"}, headers={"Origin": "https://evil.example"}),
        "sandbox": httpx.post(url, json={"query": SET % "sandbox"}, headers={"Origin": "null"}),
        "site": httpx.post(url, json={"query": SET % "site"}, headers={"Sec-Fetch-Site": "cross-site"}),
        "text": httpx.post(
            url, content='{"query": "mutation"}', headers={"Content-Type": "text/plain; application/json"}
        ),
        "address": httpx.post(f"{url}?{urlencode({'query': SET % 'address'})}"),
        "preflight": httpx.options(url, headers={"Origin": "http://evil.example"}),
    }
    assert {name: answer.status_code for name, answer in tried.items()} == {
        "get": 405,
        "slash": 405,
        "host": 403,
        "origin": 403,
        "sandbox": 403,
        "site": 403,
        "text": 415,
        "address": 415,
        "preflight": 403,
    }
    assert ui.limits() == set()
    assert httpx.post(url, json={"query": SET % "own"}, headers={"Origin": f"http://{ui.host}"}).status_code == 200
    assert ui.limits() == {"own"}
    page = httpx.get(f"http://{ui.host}/assets", headers={"Host": "known.example"})
    assert page.status_code == 200
    assert (
        page.headers["x-frame-options"] == "DENY"
        and "frame-ancestors 'none'" in page.headers["content-security-policy"]
    )


def test_the_socket_opens_for_the_ui_only(ui: Ui) -> None:
    """Subscriptions work; from another origin, or under another name, the handshake is refused with 403."""
    address = f"ws://{ui.host}/graphql"
    with websockets.sync.client.connect(address, origin=f"http://{ui.host}", subprotocols=["graphql-ws"]) as socket:
        socket.send('{"type": "connection_init"}')
        assert socket.recv(10) == '{"type":"connection_ack"}'
    for origin, headers in (("http://evil.example", {}), ("null", {}), (None, {"Sec-Fetch-Site": "cross-site"})):
        with pytest.raises(InvalidStatus, match="403"):
            websockets.sync.client.connect(address, origin=origin, additional_headers=headers)


def seen(url: str, profile: Path, *options: str) -> str:
    """Return the page as Chromium has it once everything has loaded."""
    assert CHROMIUM is not None
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    words = [*quiet, f"--user-data-dir={profile}", "--virtual-time-budget=15000", *options, "--dump-dom", url]
    return subprocess.run([CHROMIUM, *words], capture_output=True, text=True, timeout=100, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_in_a_real_browser(ui: Ui, tmp_path: Path) -> None:
    """The UI is shown as before; a page of another origin can neither change, connect nor frame anything."""
    before = ui.limits()
    shown = seen(f"http://{ui.host}/deployment/daemons", tmp_path / "own")
    assert "Scheduler" in shown and "Run queue" in shown  # GraphQL's answer, drawn by the UI's own script
    (tmp_path / "index.html").write_text(HIJACKER % ui.host)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = seen(f"http://127.0.0.1:{server.server_port}/index.html", tmp_path / "foreign")
        server.shutdown()
    assert '"socket":"refused"' in page and '"json":"refused"' in page and '"form":"sent"' in page, page
    assert ui.limits() == before
