"""One flipped bit in a small file that is read back: refused, left out or counted to the careful side, never a value.

The files of the log and of the lake are test_bit_flips.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

import trading_platform as tp
from tests.support.builders.fakes import Copy, ticks
from tests.support.builders.platform_in_process import LANE, SmallPlatform
from trading_platform import cli
from trading_platform.analytics.regimes.default import DEFAULT
from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.errors import PlatformError
from trading_platform.domain.position import Position
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.rate_limits.connect_history import ConnectHistory
from trading_platform.ingest.replay import spill_buffer as held
from trading_platform.ingest.replay.helpers import Share
from trading_platform.ingest.replay.spill_buffer import SpillBuffer, SpilledRun
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.state import end_states as states, regime_models as models
from trading_platform.store.fs import checked_file as checked
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, staging
from trading_platform.store.ledger import Ledger, SequenceKey
from trading_platform.store.log.segment_files import MARK_NAME, Mark, read_mark
from trading_platform.store.verify import verify_store

FLIPS = 3000
S = 10**9
REGIMES = Leaf("regimes", "binance", "BTC-USDT", "2024-02-20", "1h", "gaussian_hmm")
INDICATORS = Leaf("indicators", "binance", "BTC-USDT", "2024-02-20", "1h")


class Kept(NamedTuple):
    """A kind of file: where one lies, how it is read back, and what besides the value itself is safe to get."""

    path: Path
    read: Callable[[], object]
    safe: Callable[[object, object], bool] = lambda value, got: got is None


def a_state(root: Path) -> Kept:
    """An end state; without it the day is computed again."""
    data, payload = DataDir(root), b"settings\n" + np.arange(5.0).tobytes()
    states.save(data, [states.EndState(INDICATORS, "abc", payload)])
    record = LeafRecord(1, "content", "file", "abc", states.digest(payload))
    return Kept(states.folder(data, INDICATORS) / "abc.state", lambda: states.load(data, INDICATORS, record))


def a_model(root: Path) -> Kept:
    """A month's model; a damaged one is refused in one line."""
    data, config = DataDir(root), RegimeConfig()
    path = models.path_of(data, config, REGIMES)
    path.parent.mkdir(parents=True)
    checked.write_checked(path, DEFAULT.hmm.to_json())

    def read() -> bytes:
        return models.in_force(data, config, REGIMES, lambda *asked: []).hmm.to_json()

    return Kept(path, read)


def attempts(root: Path) -> Kept:
    """The connects of the last minutes; one whose time is damaged counts as made now."""
    path = root / "attempts-binance"
    for at in (600, 700, 800):
        ConnectHistory(path, 300.0).note(at * S)

    def later(value: object, got: object) -> bool:
        assert isinstance(value, list)
        assert isinstance(got, list)
        return len(got) == len(value) and all(a >= b for a, b in zip(value, got, strict=True))

    return Kept(path, lambda: ConnectHistory(path, 300.0).recall(850 * S), later)


def a_mark(root: Path) -> Kept:
    """How far a lane is durable; with one of its two slots damaged it is an earlier position, never a later one."""
    mark = Mark.open(root, REAL_DISK)
    for at in (100, 200):
        mark.write(Position(3, at))
    mark.close()
    return Kept(
        root / MARK_NAME, lambda: read_mark(root, REAL_DISK), lambda value, got: got in {None, Position(3, 100)}
    )


def a_share(root: Path) -> Kept:
    """What a helper of a replay has decoded."""
    share = Share(7, [SpilledRun(SequenceKey("binance", "BTC-USDT", 0), "2024-08-08", 1, 7, "scratch", 0, 99)])
    path = root / "share-1"
    path.write_bytes(checked.sealed(msgspec.json.encode(share)))
    return Kept(path, lambda: msgspec.json.encode(msgspec.json.decode(checked.read_checked(path), type=Share)))


def a_run(root: Path) -> Kept:
    """Trades that a replay keeps aside."""
    n = 9
    kinds = {name: np.dtype(kind) for name, kind in zip(TradeColumns._fields[:-1], held._TYPES, strict=True)}
    columns = TradeColumns(**{name: np.arange(n).astype(kind) for name, kind in kinds.items()})
    aside = SpillBuffer(root / "trades-0", lambda day: True)
    aside.add({SequenceKey("binance", "BTC-USDT", 0): columns})
    (run,) = aside.spill()
    aside.close()
    return Kept(root / "trades-0", lambda: [column.tobytes() for column in held.read(run) if column is not None])


def a_part(root: Path) -> Kept:
    """Trades that are not published yet."""
    trades = ticks([Copy(at, price=100 + at / 7) for at in range(20)])
    places = Position(0, 0), Position(0, 9)
    path = staging.write_part(DataDir(root).create(), "binance", "BTC-USDT", "2024-08-08", "live", *places, trades)
    return Kept(path, lambda: parquet.read(path))


def a_stream(root: Path) -> Kept:
    """The state of a stream, nested inputs included."""
    stream = tp.stream(["rsi_14", "ema_9__rsi_14"])
    for at in range(40):
        stream.update({"close": 100.0 + at % 7})
    path = root / "stream"
    path.write_bytes(stream.state())
    return Kept(path, lambda: tp.stream.restore(path.read_bytes()).state())


@pytest.mark.parametrize("kind", [a_state, a_model, attempts, a_mark, a_share, a_run, a_part, a_stream])
def test_a_flipped_bit_is_never_a_value(tmp_path: Path, kind: Callable[[Path], Kept]) -> None:
    """Every bit of each kind of file, or three thousand of them: what comes back is what was written, or is safe."""
    kept = kind(tmp_path)
    content, value = kept.path.read_bytes(), kept.read()
    bits = range(len(content) * 8)
    served = 0
    flips = 300 if kind in {a_part, a_stream} else FLIPS  # reading these back takes long
    for bit in bits if len(bits) <= flips else Random(7).sample(bits, flips):
        data = bytearray(content)
        data[bit // 8] ^= 1 << bit % 8
        kept.path.write_bytes(data)
        try:
            got = kept.read()
        except PlatformError as error:
            assert "\n" not in str(error)
            continue
        assert got == value or kept.safe(value, got), (bit, got)
        served += got == value
    # Not by chance: where a value comes back the bit is one that says nothing, in a footer or behind a slot.
    assert served == 0 or kind in {a_part, a_mark}
    kept.path.write_bytes(content)
    assert kept.read() == value


@pytest.mark.parametrize("kind", [a_state, a_model, attempts, a_share])
def test_what_is_cut_short_is_never_a_value(tmp_path: Path, kind: Callable[[Path], Kept]) -> None:
    """A file that ends anywhere is refused, left out, or tells less, to the careful side."""
    kept = kind(tmp_path)
    content, value = kept.path.read_bytes(), kept.read()
    for length in range(0, len(content), 3):
        kept.path.write_bytes(content[:length])
        try:
            got = kept.read()
        except PlatformError:
            continue
        less = kind is attempts and isinstance(got, list) and isinstance(value, list) and set(got) <= set(value)
        assert got is None or got == value or less


def test_a_model_of_older_code_is_still_read(tmp_path: Path) -> None:
    """One line without a checksum is what older code wrote; the month keeps its model."""
    kept = a_model(tmp_path)
    kept.path.write_bytes(DEFAULT.hmm.to_json())
    assert kept.read() == DEFAULT.hmm.to_json()


def test_a_damaged_time_is_written_anew(tmp_path: Path) -> None:
    """It counts as now once, and then grows old like any other."""
    kept = attempts(tmp_path)
    data = bytearray(kept.path.read_bytes())
    data[14] ^= 1
    kept.path.write_bytes(data)
    assert ConnectHistory(kept.path, 300.0).recall(850 * S) == [250 * S, 50 * S, 0]
    assert ConnectHistory(kept.path, 300.0).recall(900 * S) == [100 * S, 50 * S]


def test_a_damaged_ledger_is_refused_and_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ledger that SQLite cannot read is named in one line; moved away, it is rebuilt from the log."""
    platform = SmallPlatform(tmp_path)
    platform.start()
    platform.record([*range(20, 60), *range(63, 120)])
    platform.stop()
    platform.process()
    platform.publish()
    account = platform.ledger.state("binance", "BTC-USDT")
    platform.close()
    path = platform.data.ledger_path
    content = bytearray(path.read_bytes())
    for damage in (slice(0, 40), slice(4096, 4496)):
        broken = content.copy()
        broken[damage] = bytes(byte ^ 0xFF for byte in broken[damage])
        path.write_bytes(broken)
        for command in ("status", "verify", "replay"):
            assert cli.main([command, "--data-dir", str(tmp_path)]) == 1
            seen = capsys.readouterr()
            (line,) = [line for line in seen.err.splitlines() if not line.startswith("{")]
            assert "the ledger is damaged" in line
            assert "replay --ledger" in line
    for beside in path.parent.glob("ledger.sqlite*"):
        beside.unlink()
    assert cli.main(["status", "--data-dir", str(tmp_path)]) == 2
    assert "replay --ledger" in capsys.readouterr().err
    assert cli.main(["replay", "--ledger", "--data-dir", str(tmp_path)]) == 0
    ledger = Ledger.open(platform.data)
    again = ledger.state("binance", "BTC-USDT")
    assert (again.stored, again.open(), again.head) == (account.stored, account.open(), account.head)
    ledger.close()


def test_a_flipped_bit_in_the_ledger_is_never_a_bug(tmp_path: Path) -> None:
    """SQLite's file has no checksums, a bit may pass to `verify`; but none ends in a traceback."""
    platform = SmallPlatform(tmp_path)
    platform.start()
    platform.record([*range(20, 60), *range(63, 120)])
    platform.stop()
    platform.process()
    platform.publish()
    platform.close()
    path = platform.data.ledger_path
    content = path.read_bytes()
    assert not list(path.parent.glob("ledger.sqlite-*"))
    random, refused = Random(3), 0
    for at in random.sample([at for at, byte in enumerate(content) if byte], 120):
        data = bytearray(content)
        data[at] ^= 1 << random.randrange(8)
        path.write_bytes(data)
        for beside in path.parent.glob("ledger.sqlite-*"):
            beside.unlink()
        try:
            ledger = Ledger.open(platform.data)
            try:
                verify_store(platform.data, ledger, {"ticks": pass_all})
                ledger.leaves("ticks"), ledger.gaps(), ledger.lane(LANE)
            finally:
                ledger.close()
        except PlatformError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 20
