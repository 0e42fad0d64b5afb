"""Wrong frames, many of them: refused, or read as a strict reader reads them; no crash, no number that is none.

Millions of them are the campaign's (test_fuzz_campaign.py).
"""

from __future__ import annotations

import pytest

from tests.support.fuzz.frames import corpus, decoded, fuzz, judged
from tests.support.fuzz.harness import MOST_GROWTH, Mutator, values
from trading_platform.domain.errors import FrameError
from trading_platform.ingest.decoder.bounds import Bounds, CheckedNumbers
from trading_platform.venues.binance import wire

COUNT = 250_000


@pytest.mark.timeout(600)
def test_a_wrong_frame_is_read_as_a_strict_reader_reads_it() -> None:
    """Kept, void, kept apart and ignored are together what was sent; what is kept is what a strict reader finds."""
    found = fuzz(COUNT, 1, judged)
    print(found)
    assert found["frames"] == COUNT
    assert found["kept"] > COUNT // 20
    assert found["quarantined"] > COUNT // 2
    assert found["most growth"] <= MOST_GROWTH


def test_right_frames_are_kept() -> None:
    """What is not damaged is read: without this everything could be refused."""
    counts = judged(corpus())
    assert (counts["kept"], counts["void"], counts["quarantined"]) == (42, 1, 0)


def lenient(text: str) -> str:
    """Take for a number what Python takes for one."""
    try:
        float(text)
    except ValueError:
        raise FrameError("number", text) from None
    return text


def test_a_decoder_without_the_check_of_numbers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge can fail: a decoder that takes NaN, Infinity, 1_000 and full-width digits does not pass."""
    frames = Mutator(corpus(), values, 1).make(20_000)
    assert judged(frames)["kept"]
    monkeypatch.setattr(wire, "check_decimal", lenient)
    with pytest.raises(AssertionError, match="no decimal"):
        judged(frames)
    monkeypatch.setattr(
        Bounds, "check", lambda self, trade, _: CheckedNumbers(float(trade.price), float(trade.quantity))
    )
    with pytest.raises(AssertionError):
        judged(frames)


def test_a_frame_without_price_is_not_passed_over() -> None:
    """A field renamed in every frame keeps every frame apart, with its bytes."""
    frames = [frame.replace(b'"p":', b'"px":') for frame in corpus()[:40]]
    result = decoded(frames, scan_after=0)
    assert [item.raw for item in result.batch.quarantine] == frames
    assert {item.kind for item in result.batch.quarantine} == {"shape"}
    assert all(item.trade_id is not None for item in result.batch.quarantine)
