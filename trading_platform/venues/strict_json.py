"""What a lenient JSON parser lets through and a feed must not, and how bytes that it refuses are named.

Let through: bytes that are no text, names given twice. Parsers keep the last of two equal names, or the first: which id
such a message meant is anybody's guess. `check_strict` is only for bytes that a parser has already taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from trading_platform.domain.errors import FrameError

# msgspec's own errors are ValueErrors, and so is the UnicodeDecodeError it lets through; deep nesting recurses.
REFUSED = (ValueError, RecursionError)

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_UNICODE = re.compile(rb"\\u([0-9a-fA-F]{4})")


def broken(body: bytes, error: Exception, code: str = "", text: str = "") -> FrameError:
    """Return the FrameError of bytes that msgspec refused.

    Parameters
    ----------
    code, text : the fields in which the venue's own errors tell their code and reason; "" if they have none.

    Examples
    --------
    >>> broken(b"[1", ValueError("cut"))
    FrameError('json: cut')
    """
    if not isinstance(error, msgspec.ValidationError):
        return FrameError("json", str(error))
    try:
        told = msgspec.json.decode(body)
    except REFUSED:
        return FrameError("json", "it is not JSON from end to end")
    if code and isinstance(told, dict) and told.get(code):
        return FrameError("venue", f"error {str(told[code])[:20]}: {str(told.get(text))[:200]}")
    return FrameError("shape", str(error))


def check_strict(body: bytes, names: Sequence[bytes]) -> None:
    r"""Let JSON pass that is UTF-8 and in which no object gives one of these names twice.

    Parameters
    ----------
    names : quoted, as they are usually written: where each occurs once at most, nothing more is looked at.

    Raises
    ------
    FrameError : of kind ``json`` for bytes that are no text, ``shape`` for a name given twice.

    Examples
    --------
    >>> check_strict(b'{"t":1,"data":{"t":2}}', [b'"t"'])
    >>> check_strict(b'{"t":1,"\\u0074":2}', [b'"t"'])
    Traceback (most recent call last):
    trading_platform.domain.errors.FrameError: shape: "t" is given twice
    """
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FrameError("json", f"it is not UTF-8 from byte {error.start} on") from None
    if b"\\" in body or any(body.count(name) > 1 for name in names):
        _check_names(body, frozenset(names))


def _check_names(body: bytes, names: frozenset[bytes]) -> None:
    seen: list[set[bytes]] = [set()]
    last = b""
    for found in _TOKEN.finditer(body):
        token = found[0]
        if token in {b"{", b"["}:
            seen.append(set())
        elif token in {b"}", b"]"}:
            seen.pop()
        elif token == b":":
            name = _plain(last)
            if name in seen[-1]:
                raise FrameError("shape", f"{name.decode()} is given twice")
            if name in names:
                seen[-1].add(name)
        last = token


def _plain(name: bytes) -> bytes:
    """Return a name without escapes, as far as these spell letters that can be written plainly."""
    if b"\\" not in name:
        return name
    return _UNICODE.sub(lambda found: chr(int(found[1], 16)).encode("utf-8", "surrogatepass"), name)


def text_of(written: bytes) -> str | None:
    r"""Return what stands between the quotes of a JSON text, None if that is no text.

    >>> text_of(rb"\u5e01USDT"), text_of("币USDT".encode()), text_of(b"\xff")
    ('币USDT', '币USDT', None)
    """
    if written.isascii() and b"\\" not in written:
        return written.decode()
    try:
        return msgspec.json.decode(b'"%b"' % written, type=str)
    except ValueError:  # what msgspec raises, and the UnicodeDecodeError that it lets through
        return None
