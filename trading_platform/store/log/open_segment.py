"""Open a segment for reading, in whichever form it is there: as it was written, or sealed.

Names of files are segment_files.py, the bytes of a sealed one sealed_segment.py; what is read is for reader.py.
"""

from __future__ import annotations

from pathlib import Path

from trading_platform.domain.errors import CorruptionError
from trading_platform.store.fs.disk import Disk, File, MissingFile
from trading_platform.store.log.segment_files import SealedFile, segment_path
from trading_platform.store.log.segment_format import RECORDS_AT, Header, parse_header


def open_segment(directory: Path, number: int, disk: Disk) -> File | SealedFile:
    """Open a segment for reading, in whichever form it is there.

    Raises
    ------
    MissingFile : if it is in neither.
    CorruptionError : if it is sealed and damaged.
    """
    try:
        return disk.open(segment_path(directory, number), "read")
    except MissingFile:
        # Here, so that a recorder, whose newest segment is never sealed, does without Arrow.
        from trading_platform.store.log.sealed_segment import unseal

        return unseal(directory, number, disk)


def read_header(directory: Path, number: int, disk: Disk) -> Header | None:
    """Return a segment's header, None if the file is missing or damaged or its header is not whole."""
    try:
        file = open_segment(directory, number, disk)
    except (MissingFile, CorruptionError):
        return None
    try:
        return parse_header(file.read(RECORDS_AT, 0), number)
    finally:
        file.close()
