"""A log line is one line, whatever a venue or a user put into it."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from trading_platform.telemetry import logs


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()


def test_json_lines_carry_the_facts():
    """For machines each event is one JSON object with level, time and fields."""
    out = io.StringIO()
    logs.configure(as_json=True, stream=out)
    logs.get_logger("test", venue="binance").info("gap opened", first_missing=17)
    event = json.loads(out.getvalue())
    assert (event["event"], event["venue"], event["first_missing"]) == ("gap opened", "binance", 17)
    assert (event["level"], event["component"]) == ("info", "test")
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_hostile_text_stays_on_its_line(as_json):
    """Newlines and terminal sequences in a field are escaped, in bytes too."""
    out = io.StringIO()
    logs.configure(as_json=as_json, stream=out)
    logs.get_logger("test").warning("odd frame", frame=b"\x1b[2J\nlevel=error", text="a\nb\x1b[31m")
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_text_for_a_person_is_key_value():
    """On a terminal a line is key=value, time, level and event first."""
    out = io.StringIO()
    logs.configure(as_json=False, stream=out)
    logs.get_logger("test").info("started", pid=1)
    assert out.getvalue().startswith("timestamp=")
    assert "event=started" in out.getvalue()
    assert "pid=1" in out.getvalue()


def test_what_is_below_the_level_is_not_written():
    """Debug events cost nothing unless asked for."""
    out = io.StringIO()
    logs.configure(level="warning", as_json=True, stream=out)
    logs.get_logger("test").info("quiet")
    assert out.getvalue() == ""


def test_bound_fields_reach_every_event_of_the_block():
    """Ids bound around a piece of work are in its events and not in later ones."""
    out = io.StringIO()
    logs.configure(as_json=True, stream=out)
    with logs.bound(lease="L1"):
        logs.get_logger("a").info("one")
    logs.get_logger("a").info("two")
    one, two = map(json.loads, out.getvalue().splitlines())
    assert one["lease"] == "L1"
    assert "lease" not in two


def test_logs_follow_a_replaced_stderr(monkeypatch):
    """A logger set up before stderr was replaced writes to the new one, not to a closed one."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    logs.configure(as_json=True)
    log = logs.get_logger("test")
    log.info("before")
    monkeypatch.setattr("sys.stderr", second)
    first.close()
    log.info("after")
    assert json.loads(second.getvalue())["event"] == "after"
