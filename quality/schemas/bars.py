"""The gate of bars: intervals in order, prices within low and high, volumes not negative, a proof where complete."""

from __future__ import annotations

import polars as pl

from quality.schemas.rules import Rule, RuleSet, grid
from trading_platform.domain.timeframe import TAKER
from trading_platform.store.lake.schema import BARS

_PRICES = ("open", "high", "low", "close", "vwap")
_SUMS = ("volume", "quote_volume")
_ULPS = 4 * 2.0**-53
"""How far the rounded vwap may lie outside [low, high], relative: some units in the last place."""

_open, _high, _low, _close, _vwap = (pl.col(name) for name in ("open", "high", "low", "close", "vwap"))
_held = pl.col("trade_count") > 0
_empty = pl.col("trade_count") == 0


def _unknown(name: str) -> pl.Expr:
    """Tell where the takers' buy volume is null although the bar holds a trade: a trade of unknown side."""
    return pl.col(name).is_null() & _held


DATASET = RuleSet(
    "bars",
    BARS,
    [
        *grid(),
        Rule("trade_count is not negative", pl.col("trade_count") >= 0, "volumes"),
        *(
            Rule(f"{name} is null exactly where no trade is held", pl.col(name).is_null() == _empty, "prices")
            for name in _PRICES
        ),
        *(
            Rule(f"{name} is positive and finite", _empty | ((pl.col(name) > 0) & pl.col(name).is_finite()), "prices")
            for name in _PRICES
        ),
        Rule("low is the least price", _empty | ((_low <= _open) & (_low <= _close) & (_low <= _high)), "ohlc"),
        Rule("high is the greatest price", _empty | ((_high >= _open) & (_high >= _close)), "ohlc"),
        Rule(
            "vwap lies within low and high", _empty | _vwap.is_between(_low * (1 - _ULPS), _high * (1 + _ULPS)), "vwap"
        ),
        *(
            Rule(f"{name} is finite and not negative", (pl.col(name) >= 0) & pl.col(name).is_finite(), "volumes")
            for name in _SUMS
        ),
        *(
            Rule(
                f"{name} is finite and not negative",
                _unknown(name) | ((pl.col(name) >= 0) & pl.col(name).is_finite()),
                "taker",
            )
            for name in TAKER
        ),
        Rule(
            "taker buy volume is known in both currencies or in neither",
            _unknown(TAKER[0]) == _unknown(TAKER[1]),
            "taker",
        ),
        Rule("volume includes taker buys", _unknown(TAKER[0]) | (pl.col("volume") >= pl.col(TAKER[0])), "taker"),
        Rule(
            "quote_volume includes taker buys",
            _unknown(TAKER[1]) | (pl.col("quote_volume") >= pl.col(TAKER[1])),
            "taker",
        ),
        Rule("volume is positive exactly where a trade is held", (pl.col("volume") > 0) == _held, "volumes"),
        Rule("a complete bar holds a trade", pl.col("complete").not_() | _held, "complete_proved"),
        Rule(
            "a complete bar has a proof", pl.col("complete").not_() | pl.col("proof").is_not_null(), "complete_proved"
        ),
        Rule(
            "proof is known",
            pl.col("proof").is_null() | pl.col("proof").is_in(["ids", "listing", "candles"]),
            "complete_proved",
        ),
    ],
)
schema = DATASET.schema
gate = DATASET.gate
