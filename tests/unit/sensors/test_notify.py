"""One cause gives one message on each channel, to receivers on this machine; none is sent twice, none is lost."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy

import dagster as dg
import pytest

from sensors.notify import notify
from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_DAY,
    NOW_NS,
    FixedPipeline,
    instance,
    market,
    pipeline,
)
from tests.support.builders.lakes import VENUE, Market, made_up
from trading_platform.domain.cause import Cause
from trading_platform.domain.errors import SettingsError
from trading_platform.domain.verdict import Failure, Verdict
from trading_platform.orchestration.runs import failing
from trading_platform.pipeline.causes import STUBBORN, causes_now
from trading_platform.settings import Settings, load
from trading_platform.store.fs.layout import Leaf
from trading_platform.telemetry.notices import REMIND_NS, Told, after, due

# ruff: noqa: F811  fixtures are handed in under their own names

MINUTE_NS = 60 * 10**9


class _Hook:
    """A webhook that keeps what it gets; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[dict[str, object]] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if hook.status == 200:
                    hook.got.append(body)
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/secret-token"


class _MailServer:
    """A mail server that takes everything and keeps it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        mails = self.got

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline():
                    word = line[:4].upper().strip()
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = iter(self.rfile.readline, b".\r\n")
                        mails.append(b"".join(lines))
                    self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                    if word == b"QUIT":
                        return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def hook() -> Iterator[_Hook]:
    found = _Hook()
    yield from _serving(found)


@pytest.fixture
def mails() -> Iterator[_MailServer]:
    found = _MailServer()
    yield from _serving(found)


def _serving(found):
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


class _Told(FixedPipeline):
    """The engine with channels, some minutes after noon."""

    webhook: str = ""
    mail: str = ""
    minutes: int = 0

    @property
    def settings(self) -> Settings:
        named = {"webhook_url": self.webhook, "smtp_url": self.mail, "email_to": "a@b.example,c@d.example"}
        return load({}, None, {"data_dir": self.data_dir, "notify": named})

    def now_ns(self) -> int:
        return NOW_NS + self.minutes * MINUTE_NS


def tick(instance: dg.DagsterInstance, told: _Told, cursor: str = ""):
    with dg.build_sensor_context(instance, cursor=cursor or None, resources={"pipeline": told}) as context:
        return notify.evaluate_tick(context)


def silent(market: Market) -> None:
    """Let a venue with three symbols and an open gap fall silent ten minutes before noon."""
    for number, symbol in enumerate(("BTC-USDT", "ETH-USDT", "SOL-USDT")):
        trades = made_up(NOW_DAY, 1, 50, seed=number)
        trades = trades.where(trades.ts < NOW_NS - 10 * MINUTE_NS)
        market.hold(trades.without(int(trades.ids[3])), symbol, tail="open", tail_ns=NOW_NS - 10 * MINUTE_NS)


def stubborn(market: Market) -> None:
    for _ in range(STUBBORN):
        lease = market.ledger.lease(100, NOW_NS, "x", ttl_ns=1)
        market.ledger.release("x", NOW_NS - 10 * 3600 * 10**9)
        assert lease is not None


def test_a_silent_venue_is_one_message_on_each_channel(market: Market, instance, hook: _Hook, mails: _MailServer):
    """Three silent symbols with gaps are one message; a second look sends none; its end is told once."""
    silent(market)
    told = _Told(data_dir=str(market.data.root), webhook=hook.url, mail=mails.url)
    first = tick(instance, told)
    (message,) = hook.got
    assert (message["cause"], message["tier"], message["state"]) == ("silent binance", "page", "began")
    assert "BTC-USDT not known since 2024-08-12 11:50:00 UTC" in message["text"] and "2 more symbols" in message["text"]
    (mail,) = (message_from_bytes(each, policy=policy.default) for each in mails.got)
    assert mail["To"] == "a@b.example, c@d.example" and "[page] binance is silent" in mail["Subject"]
    assert "cause: silent binance" in mail.get_content()
    again = tick(instance, told, first.cursor)
    assert len(hook.got) == len(mails.got) == 1
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT"):
        market.hold(made_up(NOW_DAY, 1, 1, first_id=5000), symbol, tail="closed", tail_ns=NOW_NS)
    told = _Told(data_dir=str(market.data.root), webhook=hook.url, mail=mails.url, minutes=20)
    tick(instance, told, again.cursor)
    assert [message["state"] for message in hook.got] == ["began", "ended"] and len(mails.got) == 2
    assert "ended after 20 min" in hook.got[-1]["text"]


def test_what_did_not_get_there_is_sent_again(market: Market, instance, hook: _Hook, mails: _MailServer):
    """A channel that refuses holds up no other, is named without its secret, and gets its message later."""
    silent(market)
    hook.status = 500
    told = _Told(data_dir=str(market.data.root), webhook=hook.url, mail=mails.url)
    first = tick(instance, told)
    assert "webhook: 0 sent, then the webhook answered 500" in first.skip_message
    assert "secret-token" not in first.skip_message and len(mails.got) == 1
    hook.status = 200
    tick(instance, told, first.cursor)
    assert len(hook.got) == 1 and len(mails.got) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("webhook_url", "ftp://secret-token"), ("smtp_url", "secret-token"), ("email_to", "a@b.example,nobody")],
)
def test_a_wrong_channel_is_refused_without_repeating_it(key: str, value: str):
    """One line names the key; what was set, which may be a secret, is not repeated."""
    with pytest.raises(SettingsError) as refused:
        load({}, None, {"notify": {key: value}})
    assert f"notify.{key}" in str(refused.value) and "secret" not in str(refused.value)


def test_without_channels_nothing_is_looked_at(market: Market, instance):
    """Nobody set is nobody told."""
    silent(market)
    assert "no webhook and no mail server is set" in tick(instance, _Told(data_dir=str(market.data.root))).skip_message


def test_gaps_that_do_not_close_are_a_cause_unless_their_venue_is_silent(market: Market):
    """A gap after many attempts is told by venue; a fresh one is not, and one of a silent venue has that cause."""
    market.hold(made_up(NOW_DAY, 1, 50).without(1010, 1020), tail="closed")
    assert causes_now(market.data, market.ledger, NOW_NS) == []
    stubborn(market)
    (cause,) = causes_now(market.data, market.ledger, NOW_NS)
    assert cause == Cause(
        "gaps binance", "ticket", f"binance: 2 gaps with 2 trades did not close in {STUBBORN} attempts"
    )
    market.hold(made_up(NOW_DAY, 1, 5), "ETH-USDT", lane="b", tail="open", tail_ns=NOW_NS - 10 * MINUTE_NS)
    assert [cause.key for cause in causes_now(market.data, market.ledger, NOW_NS)] == ["silent binance"]


def test_a_refused_file_is_one_cause_with_what_follows_from_it(market: Market):
    """Refused ticks are told; the bars of the same day that were refused because of it are not told too."""
    market.hold(made_up(NOW_DAY, 1, 50), tail="closed")
    bad = Verdict((Failure("ids rise", 1, "x"),))
    for dataset, timeframe in (("ticks", None), ("bars", "1m")):
        market.ledger.save_verdict(Leaf(dataset, VENUE, "BTC-USDT", NOW_DAY, timeframe), bad)
    (cause,) = causes_now(market.data, market.ledger, NOW_NS)
    assert cause.key == "refused ticks" and "binance BTC-USDT 2024-08-12" in cause.text


def test_a_job_is_a_cause_while_its_latest_run_failed(instance: dg.DagsterInstance):
    """A failure that a later run made good is none."""

    def ran(name: str, status: dg.DagsterRunStatus) -> None:
        @dg.job(name=name)
        def nothing() -> None:
            """Do nothing."""

        instance.create_run_for_job(nothing, status=status)

    for name, statuses in {"bad": ("SUCCESS", "FAILURE"), "mended": ("FAILURE", "SUCCESS")}.items():
        for status in statuses:
            ran(name, dg.DagsterRunStatus(status))
    assert failing(instance) == ["bad"]


def test_a_cause_that_lasts_is_told_once_a_day():
    """One message when a cause begins, a reminder a day later, one at its end; a cause that returns is a new one."""
    cause, told, states = Cause("silent v", "page", "v is silent"), {}, []
    for hour in range(60):
        now = hour * 3600 * 10**9
        for notice in due(told, [cause] if hour < 50 else [], now):
            states.append((hour, notice.state))
            told = after(told, notice)
    assert states == [(0, "began"), (24, "lasts"), (48, "lasts"), (50, "ended")] and told == {}
    kept: Told = after(told, due(told, [cause], REMIND_NS)[0])
    assert kept[cause.key][2] == REMIND_NS
