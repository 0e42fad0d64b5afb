"""A stream's ban is honoured by the next recorder, however the last one and its machine ended."""

from __future__ import annotations

from pathlib import Path

from tests.support.builders.log_lanes import open_lane
from trading_platform.ingest.rate_limits.stream_bans import stream_ban_until
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind

UNTIL_NS = 1_723_200_000_000_000_000


def test_a_ban_behind_the_mark_is_found(tmp_path: Path) -> None:
    """A power cut may take the lane's mark back, never what was synced: the ban in it counts."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    lane = data.lane("live-binance")
    with open_lane(lane) as writer:
        mark = (lane / "durable").read_bytes()
        ban = control.encode_control(control.BanSeen("binance", UNTIL_NS, "stream"))
        writer.append(Kind.CONTROL, [ban], ts_recv=1, mono_ns=1)
        writer.commit()
        assert stream_ban_until(data, ledger, "binance", "live-binance") == UNTIL_NS
    (lane / "durable").write_bytes(mark)
    assert stream_ban_until(data, ledger, "binance", "live-binance") == UNTIL_NS
    assert stream_ban_until(data, ledger, "kraken", "live-binance") == 0
    ledger.close()
