"""Read indicator names: ``sma_20``, ``macd_12_26_9_hist``, ``ema_9__rsi_14`` (``__`` is "of"), ``p`` a decimal point.

Light: no numpy. What runs them is analytics/driver.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
from typing import NamedTuple

from trading_platform.analytics.indicator import Indicator, Number, spell
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.analytics.own_indicators import known
from trading_platform.domain.errors import UsageError, shown

COLUMNS = (
    *("open", "high", "low", "close", "volume", "quote_volume"),
    *("taker_buy_volume", "taker_buy_quote_volume", "trade_count"),
)
"""Bar columns that an indicator of one input can be taken of: ``sma_20__volume``. Not ``vwap``: an indicator is called
so."""
NO_SERIES = frozenset(
    "ts_open ts_close complete proof first_id last_id venue symbol timeframe model date label model_version".split()
)
"""Columns of times, ids and names: an indicator of them means nothing."""

MAX_NAME = 200
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:p[0-9]{1,9})?", re.ASCII)


class Parsed(NamedTuple):
    """One indicator with its parameters, the output meant (None: all), and what it is taken of.

    `source` is a parsed name, a column, or None for the columns the indicator asks for.
    """

    indicator: Indicator
    values: tuple[Number, ...]
    output: str | None
    source: Parsed | str | None

    def column(self, output: str) -> str:
        """Return the column name of one output.

        >>> parse("ema_9__macd_12_26_9_hist").column("")
        'ema_9__macd_12_26_9_hist'
        """
        own = self.indicator.spelled(self.values, output)
        if self.source is None:
            return own
        inner = self.source if isinstance(self.source, str) else self.source.column(self.source.output or "")
        return f"{own}__{inner}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns this name stands for."""
        outputs = self.indicator.outputs if self.output is None else (self.output,)
        return tuple(self.column(output) for output in outputs)

    @property
    def lookback(self) -> int:
        """Rows without a value before the first, its source's included."""
        own = self.indicator.lookback(*self.values)
        return own + (self.source.lookback if isinstance(self.source, Parsed) else 0)


class AnyColumn:
    """Stands for the columns of bars that are not seen yet: whatever is spelled like a column, not like an indicator.

    >>> [text in AnyColumn() for text in ("my_signal", "rsi", "rsii_14")]
    [True, False, False]
    """

    def __contains__(self, text: object) -> bool:
        return (
            isinstance(text, str)
            and re.fullmatch(r"[a-z]+(?:_[a-z]+)*", text) is not None
            and text.partition("_")[0] not in {one.name.partition("_")[0] for one in known().values()}
        )


def parse(name: str, columns: Container[str] = COLUMNS) -> Parsed:
    """Read a name.

    Parameters
    ----------
    columns : what it can be taken of besides the columns of bars and other indicators; an indicator's name comes first.

    Raises
    ------
    UsageError : if it is no indicator, a parameter is out of bounds, or it is taken of something without one value.

    Examples
    --------
    >>> parse("macd_12_26_9").columns
    ('macd_12_26_9', 'macd_12_26_9_signal', 'macd_12_26_9_hist')
    >>> parse("ema_9__rsi_14").lookback
    22
    >>> parse("rsi_1")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: 'rsi_1': period must be a whole number from 2 to 10000
    """
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise UsageError(f"{shown(name)} is no indicator; names look like rsi_14")
    outer, of, inner = name.partition("__")
    indicator, values, output = _parse_one(outer, name)
    if not of:
        return Parsed(indicator, values, output, None)
    if len(indicator.inputs) != 1:
        needs = ", ".join(indicator.inputs)
        raise UsageError(f"{name!r}: {outer} needs {needs}, so it cannot be taken of {inner}")
    if inner in COLUMNS:
        return Parsed(indicator, values, output, inner)
    if inner in NO_SERIES:
        raise UsageError(f"{name!r}: {inner} is no series of numbers; take it of a price, a volume or an indicator")
    if inner in columns and not _is_indicator(inner):
        return Parsed(indicator, values, output, inner)
    source = parse(inner, columns)
    if source.output is None:
        if "" not in source.indicator.outputs:
            choices = ", ".join(source.columns)
            raise UsageError(f"{name!r}: {inner} has several outputs; take one of {choices}")
        source = source._replace(output="")
    return Parsed(indicator, values, output, source)


def _is_indicator(text: str) -> bool:
    return any(_match(indicator, text) for indicator in known().values())


def _parse_one(text: str, name: str) -> tuple[Indicator, tuple[Number, ...], str | None]:
    found = _first_match(INDICATORS, text) or _first_match(known(), text)
    if found is None:
        raise UsageError(f"{name[:60]!r} is no indicator; {_hint(text)}")
    indicator, words, output = found
    values = []
    for parameter, word in zip(indicator.parameters, words, strict=True):
        value = _value(word)
        if (parameter.whole and isinstance(value, float)) or not parameter.low <= value <= parameter.high:
            kind = "a whole number" if parameter.whole else "a number"
            bounds = f"{kind} from {parameter.low} to {parameter.high}"
            raise UsageError(f"{name[:60]!r}: {parameter.name} must be {bounds}")
        if spell(value) != word:
            raise UsageError(f"{name[:60]!r}: {word} is written {spell(value)}")
        values.append(value)
    return indicator, tuple(values), output


def _first_match(table: Mapping[str, Indicator], text: str) -> tuple[Indicator, list[str], str | None] | None:
    for indicator in table.values():
        if found := _match(indicator, text):
            return indicator, *found
    return None


def _hint(text: str) -> str:
    """Name the nearest indicators."""
    table = {one.name: one for one in known().values()}
    spelled = [text for one in known().values() for text in (one.name, one.spelled())]
    near = difflib.get_close_matches(text, spelled, n=3, cutoff=0.5)
    whole = dict.fromkeys(table[name].spelled() if name in table else name for name in near)
    return f"nearest: {', '.join(whole)}" if near else "tp.indicator_table() lists them"


def _match(indicator: Indicator, text: str) -> tuple[list[str], str | None] | None:
    """Split a text into this indicator's numbers and output, None if it is not one of its names."""
    if text != indicator.name and not text.startswith(indicator.name + "_"):
        return None
    words = text[len(indicator.name) + 1 :].split("_") if text != indicator.name else []
    count = len(indicator.parameters)
    numbers, rest = words[:count], words[count:]
    if len(numbers) < count or not all(_NUMBER.fullmatch(word) for word in numbers):
        return None
    if not rest:
        return numbers, None
    output = "_".join(rest)
    return (numbers, output) if output and output in indicator.outputs else None


def _value(word: str) -> Number:
    return float(word.replace("p", ".")) if "p" in word else int(word)
