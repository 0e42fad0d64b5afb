"""Small files that carry a CRC32C of their content on their last line, so that a flipped bit is found when read.

Files of the log and of the lake have checksums of their own (segment_format.py, sealed_segment.py, parquet.py).
"""

from __future__ import annotations

from pathlib import Path

import google_crc32c

from trading_platform.domain.errors import CorruptionError
from trading_platform.store.fs.disk import REAL_DISK, Disk, write_atomically

_WORD = b"\n# crc32c "
_LINE_BYTES = len(_WORD) + 9


def sealed(content: bytes) -> bytes:
    r"""Return the content with its checksum.

    >>> sealed(b"one")
    b'one\n# crc32c 2a94b2e9\n'
    """
    return content + _WORD + b"%08x\n" % google_crc32c.value(content)


def unsealed(data: bytes, what: object) -> bytes:
    """Return the content of what `sealed` gave.

    Parameters
    ----------
    what : whose bytes they are, for the error.

    Raises
    ------
    CorruptionError : if a bit of it is not as written.

    Examples
    --------
    >>> unsealed(sealed(b"one"), "a file")
    b'one'
    >>> unsealed(sealed(b"one").replace(b"o", b"n"), "a file")
    Traceback (most recent call last):
    trading_platform.domain.errors.CorruptionError: a file is damaged: it fails its checksum
    """
    content = data[:-_LINE_BYTES]
    if sealed(content) != data:
        raise CorruptionError(f"{what} is damaged: it fails its checksum")
    return content


def write_checked(path: Path, content: bytes, *, disk: Disk = REAL_DISK) -> None:
    """Put content and checksum at `path`, durably and whole; errors as `disk.write_atomically`."""
    write_atomically(path, sealed(content), disk=disk)


def read_checked(path: Path) -> bytes:
    """Return what `write_checked` wrote.

    Raises
    ------
    CorruptionError : if a bit of it is not as written.
    FileNotFoundError : if it is not there.
    """
    return unsealed(path.read_bytes(), path)
