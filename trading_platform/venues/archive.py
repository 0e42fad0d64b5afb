"""What a venue's daily archive promises: where the file of a day lies, when it is there, what its rows say. Pure.

Downloading is ingest/recovery/archive_client.py, unpacking archive_files.py; how rows become columns in bulk is
ingest/decoder/archive/.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from trading_platform.domain.trades.trade import Trade

Field = Literal["id", "price", "quantity", "time", "buyer_is_maker", "number", "bool"]
"""What stands at a place of a RowForm. `number`: any plain decimal; `bool`: anything that is True or False."""


class RowForm(NamedTuple):
    """The form that a file's rows usually have, for who reads many at a time.

    Whatever is not exactly so is for `read_row`, and whatever is must mean the same to it.

    Attributes
    ----------
    parts : literals and fields in turn, from a row's first byte to its newline.
    times : units of `time` by magnitude: first, end, ns in one.
    """

    parts: tuple[bytes | Field, ...]
    times: tuple[tuple[int, int, int], ...]


class ArchiveFile(NamedTuple):
    """The file of one day.

    Attributes
    ----------
    path : of the file, below the archive's address.
    checksum_path : of the file that names its SHA-256, None if the venue publishes none.
    packing : how it is packed; `entry` is the one file that a zip holds.
    """

    path: str
    checksum_path: str | None
    packing: Literal["zip", "gzip"]
    entry: str = ""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rpartition("/")[2]


class DailyArchive(Protocol):
    """A venue's files of past days, one a symbol and UTC day.

    Attributes
    ----------
    url : documented base address, used when neither the settings nor another REST address say otherwise.
    published_after_s : how long after the end of its day a file may be expected; it is not asked for before.
    headers : what the first line of a file may be, without its newline; empty if files have no header.
    row_form : the usual form of a row, None if rows are only read one by one.
    """

    url: str
    published_after_s: float
    headers: tuple[bytes, ...]
    row_form: RowForm | None

    def file(self, venue_symbol: str, day: str) -> ArchiveFile:
        """Return where the file of a day lies."""
        ...

    def read_checksum(self, body: bytes, file: ArchiveFile) -> str:
        """Return the SHA-256, in small hexadecimal digits, that a checksum file names. Raises FrameError only."""
        ...

    def read_row(self, row: bytes, symbol: str) -> Trade:
        """Return the trade of a row, given without its newline. Raises FrameError only, whatever the bytes."""
        ...
