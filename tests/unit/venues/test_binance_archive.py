"""Rows, names and checksums of Binance's daily files: what is one, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.binance.archive import BinanceArchive

ARCHIVE = BinanceArchive()
ROW = b"3744529158,55143.68000000,0.00054000,29.77758720,1723075200136,False,True"
FILE = ARCHIVE.file("BTCUSDT", "2024-08-08")
SUM = b"ab" * 32


def test_a_row_of_2024_is_in_ms_and_one_of_2025_in_micros() -> None:
    """The magnitude tells the unit, whatever the day of the file."""
    assert ARCHIVE.read_row(ROW, "BTC-USDT") == Trade(
        "BTC-USDT", 3744529158, 1723075200136 * 10**6, "55143.68000000", "0.00054000", "buy"
    )
    micros = ROW.replace(b"1723075200136,False", b"1735689600136123,True")
    assert ARCHIVE.read_row(micros, "BTC-USDT")[2:6:3] == (1735689600136123 * 1000, "sell")


def test_an_id_without_a_price_is_void() -> None:
    """A price of 0 uses the id up."""
    assert ARCHIVE.read_row(ROW.replace(b"55143.68", b"0.00"), "BTC-USDT").void == "price 0"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b",True", b"", "6 columns"),
        (b",True", b",True,1", "8 columns"),
        (b"3744529158", b"-1", "no whole number"),
        (b"3744529158", b"9" * 19, "no whole number"),
        (b"55143.68", b"5_5", "is not a decimal"),
        (b"0.00054", b"nan", "is not a decimal"),
        (b"1723075200136", b"17230752001", "neither ms nor"),
        (b"1723075200136", b"172307520013612345", "neither ms nor"),
        (b"False", b"no", "neither True nor False"),
        (b"False", "Fälse".encode(), "is not text"),
    ],
)
def test_what_is_no_row_is_refused(old: bytes, new: bytes, says: str) -> None:
    """In words, with a part of the row."""
    with pytest.raises(FrameError, match=says):
        ARCHIVE.read_row(ROW.replace(old, new), "BTC-USDT")


@given(st.binary(max_size=200) | st.text("0123456789.,TrueFals\r", max_size=120).map(str.encode))
def test_any_bytes_are_a_trade_or_a_frame_error(row: bytes) -> None:
    """Nothing else is ever raised."""
    with suppress(FrameError):
        assert isinstance(ARCHIVE.read_row(row, "BTC-USDT"), Trade)


def test_a_checksum_file_names_the_sum_of_its_own_file() -> None:
    """As `sha256sum` writes it, in either case; that of another file is refused."""
    assert ARCHIVE.read_checksum(SUM.upper() + b"  " + FILE.name.encode() + b"\n", FILE) == SUM.decode()
    assert ARCHIVE.read_checksum(SUM, FILE) == SUM.decode()
    for body in (b"", b"<html>", SUM[:-1] + b"  " + FILE.name.encode(), SUM + b"  ETHUSDT-trades-2024-08-08.zip"):
        with pytest.raises(FrameError, match="checksum"):
            ARCHIVE.read_checksum(body, FILE)
