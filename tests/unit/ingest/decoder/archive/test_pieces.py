"""A piece read in bulk gives what the same piece gives row by row; what is odd in it is refused, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.completeness.records import EpochReset, Reach, SequenceKey
from trading_platform.domain.days import day_start
from trading_platform.domain.position import Position
from trading_platform.ingest.decoder.archive import pieces
from trading_platform.ingest.decoder.archive.pieces import MOST_BYTES, pack, unpack
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, Record
from trading_platform.venues import VENUES

DAY = "2024-08-08"
NOON_MS = (day_start(DAY) // 10**6) + 43_200_000
RECEIVED = day_start("2024-08-10")
KEY = SequenceKey("binance", "BTC-USDT", 0)


class Book:
    """What is on record of the symbol."""

    def __init__(
        self, reach: Reach | None = None, resets: tuple[EpochReset, ...] = (), held: frozenset[int] = frozenset()
    ):
        self._reach, self._resets, self._held = reach, list(resets), held

    def all_resets(self) -> dict[tuple[str, str], list[EpochReset]]:
        return {("binance", "BTC-USDT"): self._resets}

    def reach(self, venue: str, symbol: str, epoch: int = 0) -> Reach | None:
        return self._reach if epoch == len(self._resets) else None

    def holds(self, venue: str, symbol: str, epoch: int, trade_id: int) -> bool:
        return trade_id in self._held


def decode(rows: bytes, book: Book | None = None, *, bulk: bool, **changes: object) -> Decoded:
    """Decode one piece, in bulk or row by row."""
    page = {"day": DAY, "size": len(rows), "from_id": 1, "to_id": 10**6} | changes
    told = control.encode_page(control.PageHeader("binance", "archive", "BTC-USDT", source="archive", **page))
    record = Record(Position(0, 1024), Position(0, 2048), Kind.PAGE, 0, RECEIVED, 0, (told, pack(rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "SCAN_FROM_BYTES", 0 if bulk else 1 << 40)
        return Decoder("fetch-0", VENUES, Bounds(0), book=book).decode([record], record.position, record.end)


def facts(decoded: Decoded) -> tuple[object, object]:
    """Return trades in the order of ids, and what was refused."""
    trades = {
        key: sorted(zip(*(column.tolist() for column in columns[:7]), strict=True))
        for key, columns in decoded.trades.items()
    }
    return trades, [(entry.item, entry.kind, entry.trade_id, entry.raw) for entry in decoded.batch.quarantine]


def row(number: int, price: str = "1.5", ms: int = 0, maker: str = "True") -> bytes:
    return f"{number},{price},0.25,0.375,{NOON_MS + ms},{maker},True\n".encode()


ODD = [
    b"\n",
    b"nonsense\n",
    row(50, price="0"),
    row(51, price="123456789.1234567890"),
    row(52, ms=10**8),
    row(53, maker="true"),
    row(54, maker="TRUE"),
    row(55).replace(b"\n", b"\r\n"),
    row(56, price="1e3"),
    row(57, price="1e18"),
    row(58, price=".5"),
    b"0" + row(59),
    row(60).replace(b"0.375", b""),
    row(61)[:-1] + b",1\n",
]


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 40).map(row) | st.sampled_from(ODD), min_size=1, max_size=30),
    st.sampled_from(
        [
            None,
            Book(Reach(10, 30, (NOON_MS - 10) * 10**6, (NOON_MS - 5) * 10**6)),
            Book(Reach(1, 50, (NOON_MS - 10) * 10**6, (NOON_MS + 10) * 10**6), held=frozenset({7})),
            Book(resets=(EpochReset(900, (NOON_MS - 50) * 10**6, 1, (NOON_MS - 40) * 10**6, RECEIVED - 1),)),
            Book(resets=(EpochReset(900, NOON_MS * 10**6, 1, (NOON_MS + 40) * 10**6, RECEIVED - 1),)),
        ]
    ),
    st.booleans(),
)
def test_bulk_is_one_by_one(rows: list[bytes], book: Book | None, ended: bool) -> None:
    """Trades, epochs and refusals are equal, whatever rows stand where and whatever is on record."""
    whole = b"".join(rows)
    whole = whole if ended or whole == b"\n" else whole.removesuffix(b"\n")
    assert facts(decode(whole, book, bulk=True)) == facts(decode(whole, book, bulk=False))


def test_a_row_keeps_its_values() -> None:
    """Id, time, price, quantity and the taker's side; received now, from the archive."""
    (columns,) = decode(row(7) + row(8, maker="False"), bulk=True).trades.values()
    assert [column.tolist() for column in columns[:7]] == [
        [7, 8],
        [NOON_MS * 10**6] * 2,
        [RECEIVED] * 2,
        [1.5, 1.5],
        [0.25, 0.25],
        [-1, 1],
        [2, 2],
    ]


def test_a_row_of_another_day_is_refused() -> None:
    """A file of a day that holds another day's rows is wrong about something."""
    decoded = decode(row(7) + row(8, ms=86_400_000), bulk=True)
    assert decoded.trades[KEY].trade_id.tolist() == [7]
    assert [entry.kind for entry in decoded.batch.quarantine] == ["day"]


def test_refused_rows_are_bounded() -> None:
    """A piece of nothing but odd rows fills neither memory nor the ledger."""
    for bulk in (False, True):
        decoded = decode(row(1) + b"odd\n" * 5000, bulk=bulk)
        assert len(decoded.batch.quarantine) == pieces.MOST_REFUSED + 1
        assert "4,900 odd ones after them are not read" in decoded.batch.quarantine[-1].detail
        assert decoded.trades[KEY].trade_id.tolist() == [1]


@pytest.mark.parametrize(
    "changes", [{"size": 0}, {"size": MOST_BYTES + 1}, {"size": 5}, {"size": 5000}, {"day": "2024-13-01"}]
)
def test_a_piece_that_is_none_is_refused_as_a_whole(changes: dict[str, object]) -> None:
    """Before anything is unpacked where its size is absurd."""
    decoded = decode(row(7), bulk=True, **changes)
    assert not decoded.trades
    assert [entry.kind for entry in decoded.batch.quarantine] == ["piece"]


def test_what_is_packed_is_unpacked() -> None:
    """To the byte."""
    assert unpack(pack(row(7) * 1000), 1000 * len(row(7))) == row(7) * 1000
