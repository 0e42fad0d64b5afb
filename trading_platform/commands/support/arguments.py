"""Arguments that several commands share (venue, symbols, days, lists), their parsing, and printing a result.

Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import UsageError
from trading_platform.domain.instrument import check_venue, read_symbol


def emit(args: argparse.Namespace, payload: object, text: str) -> None:
    """Print the result on stdout: `payload` as one JSON document with ``--json``, else `text`.

    Logs and progress go to stderr, so stdout is always this and nothing else.
    """
    print(to_json(payload) if args.json else text, flush=True)


def to_json(payload: object) -> str:
    """Return one line of JSON. NaN and infinity become null; other types without a JSON form become text.

    >>> to_json({"latency": float("nan"), "days": ("2024-08-08",)})
    '{"latency": null, "days": ["2024-08-08"]}'
    """
    return json.dumps(_plain(payload), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def print_line(payload: object) -> None:
    """Print one JSON line on stdout and flush it, for a program that reads while the command runs."""
    sys.stdout.write(to_json(payload) + os.linesep)
    sys.stdout.flush()


MOST_ID = (1 << 63) - 1
"""The greatest integer that the database stores."""


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number from `least` to `most`.

    >>> whole(1, 9)("7")
    7
    """

    def parse(text: str) -> int:
        try:
            number = int(text) if len(text) <= 40 else None
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {least} to {most}")
        return number

    return parse


def path(text: str) -> Path:
    """Return a path that an argument names.

    >>> path("a/b").name
    'b'
    """
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a file name")
    return Path(text)


def add_venue(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--venue V``."""
    parser.add_argument("--venue", metavar="V", required=required, help="the exchange, for example binance")


def add_symbols(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--symbols S,S…``."""
    parser.add_argument("--symbols", metavar="S,S…", required=required, help="for example BTC-USDT,ETH-USDT")


def add_days(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--from DAY --to DAY`` as ``args.first`` and ``args.last``, both inclusive."""
    parser.add_argument("--from", dest="first", metavar="DAY", required=required, help="first UTC day, 2024-08-08")
    parser.add_argument("--to", dest="last", metavar="DAY", required=required, help="last UTC day, inclusive")


def parse_list(text: str) -> list[str]:
    """Split a comma list; blanks around items do not count, an empty item is an error.

    >>> parse_list("BTC-USDT, ETH-USDT")
    ['BTC-USDT', 'ETH-USDT']
    """
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(f"{text[:60]!r} has an empty item; lists look like A,B")
    return list(dict.fromkeys(items))


def parse_symbols(text: str | None) -> list[str] | None:
    """Return the checked symbols of ``--symbols``, None if it was not given.

    >>> parse_symbols("BTC-USDT,ETH-USDT")
    ['BTC-USDT', 'ETH-USDT']
    """
    return None if text is None else list(dict.fromkeys(read_symbol(item) for item in parse_list(text)))


def parse_venue(text: str | None, known: Sequence[str]) -> str | None:
    """Return the checked ``--venue``, None if it was not given; `known` are the supported venues."""
    if text is None:
        return None
    if check_venue(text) not in known:
        raise UsageError(f"{text!r} is not a supported venue; known: {' '.join(known)}")
    return text


def parse_days(first: str | None, last: str | None, *, earliest: str) -> tuple[str, str] | None:
    """Return the day range of ``--from`` and ``--to``, None if neither was given.

    >>> parse_days("2024-08-08", "2024-08-09", earliest="2016-01-01")
    ('2024-08-08', '2024-08-09')
    """
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise UsageError("--from and --to go together")
    begin, end = parse_day(first, earliest=earliest), parse_day(last, earliest=earliest)
    if end < begin:
        raise UsageError(f"--from {begin} lies after --to {end}")
    return begin, end
