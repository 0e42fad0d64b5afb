"""What each column of a dataset means, in one sentence: for Dagster's pages and the documentation.

Names and types are the table of datasets.py; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.domain.datasets import DATASETS

_COMMON = {
    "ts_open": "begin of the interval, included",
    "ts_close": "end of the interval, excluded; the row is usable from then on",
    "complete": "whether no trade of the interval is known to be missing",
    "symbol": "canonical name, BTC-USDT",
    "open": "price of the first trade",
    "high": "highest price",
    "low": "lowest price",
    "close": "price of the last trade",
    "volume": "sum of quantities",
    "quote_volume": "sum of price × quantity",
    "taker_buy_volume": "sum of quantities whose taker bought; null if a side is unknown",
    "taker_buy_quote_volume": "sum of price × quantity whose taker bought; null if a side is unknown",
    "trade_count": "number of trades held",
    "vwap": "mean price weighted by quantity",
}
_OWN: Mapping[str, Mapping[str, str]] = {
    "ticks": {
        "trade_id": "the exchange's number of the trade; null where its ids are not integers",
        "trade_uid": "name of a trade without a number; null where there is one",
        "epoch": "numbering that the id belongs to; rises when the exchange's ids start again",
        "ts_event": "the exchange's time of the trade",
        "ts_recv": "when we first had it",
        "price": "price in quote currency",
        "quantity": "size in base units; contracts of inverse instruments",
        "side": "the taker's side: buy or sell, null if unknown",
        "source": "how the exchange handed it over first: ws, rest or archive",
    },
    "bars": {
        "proof": "what shows that the bar is complete: ids, listing or candles; null if nothing",
    },
    "regimes": {
        "state": "most probable state; rises with volatility",
        "label": "the state in words; changes only past a threshold",
        **{f"p_{k}": f"probability of state {k}; null beyond the model's states" for k in range(5)},
        "change_probability": "probability that the state is another one at the next bar",
        "model_version": "the model that labelled the row",
    },
    "instruments": {
        "venue_symbol": "the exchange's own spelling",
        "kind": "spot, perpetual or future",
        "base": "what is traded",
        "quote": "what it is paid with",
        "price_step": "least difference of two prices, as the exchange prints it",
        "quantity_step": "least difference of two sizes, as the exchange prints it",
        "status": "whether it is traded, in the exchange's words",
    },
}


def meaning(dataset: str, column: str) -> str:
    """Return what a column means; of an open-ended dataset's further columns, that they are an output.

    >>> meaning("bars", "vwap")
    'mean price weighted by quantity'
    >>> meaning("indicators", "rsi_14")
    'output of the indicator of this name'
    """
    own = _OWN.get(dataset, {})
    if column in own or column in _COMMON:
        return own.get(column) or _COMMON[column]
    return "output of the indicator of this name" if DATASETS[dataset].open_ended else ""
