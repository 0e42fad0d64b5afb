"""Cut a JSON object with one long list into several that say the same together: a record of the log has a limit."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trading_platform.domain.errors import FrameError


def pieces(body: bytes, field: str, most_bytes: int) -> Iterator[bytes]:
    """Return objects that hold the list's items in order, each of about `most_bytes` at most, and nothing else.

    A body that is short enough is returned as it is.

    Raises
    ------
    FrameError : of kind ``shape`` for a long body that is no object with such a list.

    Examples
    --------
    >>> list(pieces(b'{"a":1,"rows":[{"x":1},{"x":2},{"x":3}]}', "rows", 25))
    [b'{"rows":[{"x":1},{"x":2}]}', b'{"rows":[{"x":3}]}']
    """
    if len(body) <= most_bytes:
        yield body
        return
    try:
        rows = msgspec.json.decode(
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])[field], type=list[msgspec.Raw]
        )
    except (ValueError, KeyError, RecursionError) as error:
        raise FrameError("shape", f"{len(body):,} bytes that are no list of {field}") from error
    some: list[bytes] = []
    size = 0
    for row in rows:
        item = bytes(row)
        if some and size + len(item) > most_bytes - len(field):
            yield _object(field, some)
            some, size = [], 0
        some.append(item)
        size += len(item) + 1
    if some:
        yield _object(field, some)


def _object(field: str, items: list[bytes]) -> bytes:
    return b'{"%b":[%b]}' % (field.encode(), b",".join(items))
