"""Progress is for a person at a terminal and for nobody else."""

from __future__ import annotations

import io

from trading_platform.telemetry.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_written_into_a_file():
    """A stream that is no terminal stays empty."""
    out = io.StringIO()
    with Progress("decoding", 3, stream=out) as progress:
        progress.advance()
    assert out.getvalue() == ""


def test_a_terminal_sees_one_line_that_goes_away():
    """The line tells what, how far and of how much, and is cleared at the end."""
    out = Terminal()
    with Progress("decoding", 3, stream=out, clock=lambda: 0.0) as progress:
        progress.advance(note="2024-08-08")
    assert "decoding 1/3 2024-08-08" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")
    assert "\n" not in out.getvalue()


def test_the_line_is_written_ten_times_a_second_at_most():
    """A thousand steps in no time are one line."""
    out = Terminal()
    progress = Progress("decoding", stream=out, clock=lambda: 1.0)
    for _ in range(1000):
        progress.advance()
    assert out.getvalue().count("decoding") == 1
    assert progress.done == 1000


def test_a_line_can_tell_a_rate():
    """Without a step that is done, in the place of the line before."""
    out = Terminal()
    with Progress("fetching", stream=out, clock=lambda: 1.0) as progress:
        progress.show("binance BTC-USDT 2024-08-08: 8.1 MB/s, 0:12:30 left")
    assert "fetching binance BTC-USDT 2024-08-08: 8.1 MB/s, 0:12:30 left" in out.getvalue()
    assert progress.done == 0
