"""Files are read in bounded memory, and whatever is not exactly one packed file of rows is refused in words."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from trading_platform.domain.errors import FrameError
from trading_platform.ingest.recovery import archive_files
from trading_platform.ingest.recovery.archive_files import MOST_ROW_BYTES, PIECE_BYTES, pieces, unpacked
from trading_platform.venues.archive import ArchiveFile
from trading_platform.venues.binance.archive import BinanceArchive

ARCHIVE = BinanceArchive()
FILE = ARCHIVE.file("BTCUSDT", "2024-08-08")
GZIP = ArchiveFile("/spot/BTCUSDT/x.csv.gz", None, "gzip")
ROW = b"3744529158,55143.68000000,0.00054000,29.77758720,1723075200136,False,True\n"


def zipped(rows: bytes, name: str = FILE.entry, *, streamed: bool = False, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip; a `streamed` one tells sizes and sum behind the file."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, rows)
    return out.getvalue()


def reader(body: bytes) -> Callable[[int, int], bytes]:
    return lambda size, at: body[at : at + size]


def read(body: bytes, file: ArchiveFile = FILE) -> bytes:
    return b"".join(unpacked(reader(body), file))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_zip_is_unpacked(streamed: bool) -> None:
    """Whether it tells its sizes before the file or behind it."""
    rows = ROW * 40_000
    assert read(zipped(rows, streamed=streamed)) == rows
    assert max(map(len, unpacked(reader(zipped(rows)), FILE))) <= 1 << 20


def test_a_gzip_is_unpacked() -> None:
    """Also one of several members."""
    assert read(gzip.compress(ROW * 3) + gzip.compress(ROW), GZIP) == ROW * 4


def two_files() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE.entry, ROW)
        archive.writestr("other.csv", ROW)
    return out.getvalue()


def changed(body: bytes, at: int, to: int) -> bytes:
    return body[:at] + bytes([to]) + body[at + 1 :]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is no zip"),
        (b"<html>not found</html>" * 9, "is no zip"),
        (zipped(ROW, "../../etc/passwd"), "was expected"),
        (zipped(ROW, method=zipfile.ZIP_STORED), "method 0"),
        (changed(zipped(ROW), 6, 1), "encrypted"),
        (two_files(), "more than one file"),
        (zipped(ROW * 99)[:80], "cut off"),
        (zipped(ROW * 99).partition(b"PK\1\2")[0], "more than one file, or is cut off"),
        (changed(zipped(ROW * 99), 14, 7), "CRC"),
    ],
)
def test_what_is_no_zip_of_one_file_is_refused(body: bytes, says: str) -> None:
    """One line, which says what is wrong."""
    with pytest.raises(FrameError, match=says) as caught:
        read(body)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300), st.integers(0, 200), st.booleans())
def test_damage_anywhere_is_a_frame_error(noise: bytes, at: int, packed: bool) -> None:
    """Whatever the bytes, nothing else is raised."""
    whole = gzip.compress(ROW * 20) if packed else zipped(ROW * 20)
    body = whole[:at] + noise + whole[at + len(noise) :]
    with suppress(FrameError):
        assert read(body, GZIP if packed else FILE) == ROW * 20


def test_rows_are_cut_into_whole_pieces() -> None:
    """Each piece ends with a newline; together they are the file."""
    rows = b"".join(b"%d,1.5,2,3,1723075200136,True,True\n" % number for number in range(300_000))
    cut = list(pieces(chunks(rows), ARCHIVE, "BTC-USDT"))
    assert b"".join(cut) == rows
    assert all(part.endswith(b"\n") and len(part) <= PIECE_BYTES for part in cut)
    assert len(cut) == -(-len(rows) // PIECE_BYTES)


def chunks(rows: bytes) -> list[bytes]:
    return [rows[at : at + 100_000] for at in range(0, len(rows), 100_000)]


class Headed(BinanceArchive):
    """An archive whose files begin with the names of their columns."""

    headers = (b"id,price,qty,quote_qty,time,is_buyer_maker,is_best_match",)


def test_a_header_is_left_out_and_another_one_refused() -> None:
    """The columns are checked before anything enters the log."""
    assert list(pieces([Headed.headers[0] + b"\r\n" + ROW], Headed(), "BTC-USDT")) == [ROW]
    with pytest.raises(FrameError, match="its columns are b'time,price'"):
        list(pieces([b"time,price\n" + ROW], Headed(), "BTC-USDT"))


@pytest.mark.parametrize(
    ("given_chunks", "says"),
    [
        ([], "no rows"),
        ([b"\n" + ROW], "no rows"),
        ([Headed.headers[0] + b"\n" + ROW], "first row is none"),
        ([b"\0" * (1 << 20)] * 9, "first row is none"),
        ([ROW] + [b"1" * (1 << 20)] * 9, "a row has more than"),
        ([ROW + b"1" * (MOST_ROW_BYTES + 2)], "a row has more than"),
    ],
)
def test_what_holds_no_rows_is_refused(given_chunks: list[bytes], says: str) -> None:
    """A bomb of nothing is given up at its first piece."""
    with pytest.raises(FrameError, match=says):
        list(pieces(given_chunks, ARCHIVE, "BTC-USDT"))


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is counted, whatever sizes a file states."""
    monkeypatch.setattr(archive_files, "MOST_ROWS_BYTES", 20 << 20)
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield ROW * 10_000

    with pytest.raises(FrameError, match="it holds more than"):
        for _ in pieces(endless(), ARCHIVE, "BTC-USDT"):
            pass
    assert taken < 40
