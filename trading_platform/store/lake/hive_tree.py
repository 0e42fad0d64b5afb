"""Walk the folders ``key=value`` of the lake and of staging, which others change meanwhile.

What vanishes while it is looked for is not there: a publisher removes folders that have become empty.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

Values = tuple[str, ...]


def walk(
    root: Path, keys: Sequence[str], wanted: Mapping[str, Collection[str] | None] | None = None
) -> Iterator[Values]:
    """Yield the values of every folder ``k0=v0/k1=v1/…`` below a folder, in the order of their names.

    Parameters
    ----------
    wanted : by key the values that are looked for; None, or no such key: every value.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("a=1/b=2", "a=1/b=1", "a=2/b=1", "other"):
    ...     (root / name).mkdir(parents=True)
    >>> list(walk(root, ["a", "b"])), list(walk(root, ["a", "b"], {"a": {"2"}}))
    ([('1', '1'), ('1', '2'), ('2', '1')], [('2', '1')])
    """
    if not keys:
        yield ()
        return
    chosen = None if wanted is None else wanted.get(keys[0])
    for value in _values(root, keys[0], chosen):
        for rest in walk(root / f"{keys[0]}={value}", keys[1:], wanted):
            yield (value, *rest)


def _values(root: Path, key: str, chosen: Collection[str] | None) -> list[str]:
    if chosen is not None and len(chosen) == 1:
        (only,) = chosen
        return [only] if (root / f"{key}={only}").is_dir() else []
    start = f"{key}="
    names = [name.removeprefix(start) for name in entries(root) if name.startswith(start)]
    return sorted(name for name in names if chosen is None or name in chosen)


def entries(folder: Path) -> list[str]:
    """Return the names in a folder; none of one that is not there."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
