"""What a data directory may be called: what every reader of the lake, and every text that names it, can take."""

from __future__ import annotations

import re
from pathlib import Path

_LONGEST = 3000
_PARTITION = re.compile(r"(?:venue|symbol|timeframe|model|date)=", re.IGNORECASE)


def check_data_path(path: Path) -> Path:
    """Return the path.

    Raises
    ------
    ValueError : saying what it must not be.

    >>> check_data_path(Path("date=2024-08-08/data"))
    Traceback (most recent call last):
    ValueError: must not lie in a folder named like a partition of the lake (date=2024-08-08)
    """
    text = str(path)
    if not path.parts or "\0" in text:
        raise ValueError("must name a directory")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8: files there are named in databases, addresses and JSON") from None
    if len(text) > _LONGEST:
        raise ValueError(f"must not be longer than {_LONGEST:,} characters")
    if "\\" in text:
        raise ValueError("must not hold a backslash, which DuckDB takes for the end of a folder's name")
    for part in path.absolute().parts:
        if _PARTITION.match(part):
            raise ValueError(f"must not lie in a folder named like a partition of the lake ({part[:60]})")
    return path
