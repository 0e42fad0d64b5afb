"""Cut a JSON object with one long list, or object, into several that say the same together.

A record of the log has a limit.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trading_platform.domain.errors import FrameError


def pieces(body: bytes, field: str, most_bytes: int) -> Iterator[bytes]:
    """Return objects that hold the items of a field in order, each of about `most_bytes` at most, and nothing else.

    A body that is short enough is returned as it is. Where the body is the list itself, `field` is "", and so are the
    pieces.

    Raises
    ------
    FrameError : of kind ``shape`` for a long body that is no object with such a field.

    Examples
    --------
    >>> list(pieces(b'{"a":1,"rows":[{"x":1},{"x":2},{"x":3}]}', "rows", 25))
    [b'{"rows":[{"x":1},{"x":2}]}', b'{"rows":[{"x":3}]}']
    >>> list(pieces(b'{"a":1,"rows":{"A":{"x":1},"B":{"x":2}}}', "rows", 25))
    [b'{"rows":{"A":{"x":1}}}', b'{"rows":{"B":{"x":2}}}']
    >>> list(pieces(b'[{"x":1},{"x":2},{"x":3}]', "", 17))
    [b'[{"x":1},{"x":2}]', b'[{"x":3}]']
    """
    if len(body) <= most_bytes:
        yield body
        return
    try:
        held = msgspec.json.decode(body, type=dict[str, msgspec.Raw])[field] if field else msgspec.Raw(body)
        named = bytes(held)[:1] == b"{" and bool(field)
        rows = _named(held) if named else msgspec.json.decode(held, type=list[msgspec.Raw])
    except (ValueError, KeyError, RecursionError) as error:
        raise FrameError("shape", f"{len(body):,} bytes that are no list of {field}") from error
    some: list[bytes] = []
    size = 0
    for row in rows:
        item = bytes(row)
        if some and size + len(item) > most_bytes - len(field):
            yield _object(field, some, named=named)
            some, size = [], 0
        some.append(item)
        size += len(item) + 1
    if some:
        yield _object(field, some, named=named)


def _named(held: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the members of an object, each with its name."""
    members = msgspec.json.decode(held, type=dict[str, msgspec.Raw])
    return [msgspec.Raw(b"%b:%b" % (msgspec.json.encode(name), bytes(value))) for name, value in members.items()]


def _object(field: str, items: list[bytes], *, named: bool) -> bytes:
    if not field:
        return b"[%b]" % b",".join(items)
    form = b'{"%b":{%b}}' if named else b'{"%b":[%b]}'
    return form % (field.encode(), b",".join(items))
