"""Oracles of indicators of volume and order flow. The definitions on lists; None where there is no value."""

from __future__ import annotations

import math
from statistics import fmean, linear_regression

from tests.support.judges.naive.indicators import Bars, Series, ema, typical, weighted
from tests.support.judges.naive.more_indicators import middles, windows


def avwap(bars: Bars) -> Series:
    prices = typical(bars)
    return [weighted(prices[: i + 1], bars["volume"][: i + 1]) for i in range(len(prices))]


def force(bars: Bars, period: int) -> Series:
    closes, volumes = bars["close"], bars["volume"]
    return [None, *ema([(closes[i] - closes[i - 1]) * volumes[i] for i in range(1, len(closes))], period)]


def emv(bars: Bars, period: int) -> Series:
    places, highs, lows, volumes = middles(bars), bars["high"], bars["low"], bars["volume"]
    eases = [
        (places[i] - places[i - 1]) * (highs[i] - lows[i]) / volumes[i] if volumes[i] else 0.0
        for i in range(1, len(places))
    ]
    return [None] + [None if w is None else fmean(w) for w in windows(eases, period)]


def pvt(bars: Bars) -> Series:
    closes, volumes = bars["close"], bars["volume"]
    out = [0.0]
    for i in range(1, len(closes)):
        out.append(out[-1] + volumes[i] * (closes[i] / closes[i - 1] - 1))
    return list(out)


def nvi(bars: Bars) -> Series:
    closes, volumes = bars["close"], bars["volume"]
    out = [1000.0]
    for i in range(1, len(closes)):
        out.append(out[-1] * (closes[i] / closes[i - 1] if volumes[i] < volumes[i - 1] else 1))
    return list(out)


def delta(bars: Bars) -> Series:
    return [buys - (total - buys) for buys, total in zip(bars["taker_buy_volume"], bars["volume"], strict=True)]


def cvd(bars: Bars) -> Series:
    flows = delta(bars)
    return [math.fsum(flows[: i + 1]) for i in range(len(flows))]


def share(above: list[float], below: list[float], period: int) -> Series:
    pairs = zip(windows(above, period), windows(below, period), strict=True)
    return [None if a is None else (math.fsum(a) / math.fsum(b) if any(b) else 0.0) for a, b in pairs]


def imbalance(bars: Bars, period: int) -> Series:
    return share(delta(bars), bars["volume"], period)


def vpin(bars: Bars, period: int) -> Series:
    return share([abs(x) for x in delta(bars)], bars["volume"], period)


def signcorr(bars: Bars, period: int) -> Series:
    signs = [math.copysign(1.0, x) if x else 0.0 for x in delta(bars)]
    products = [a * b for a, b in zip(signs, signs[1:], strict=False)]
    return [None, *share(products, [abs(s) for s in signs[1:]], period)]


def kyle(bars: Bars, period: int) -> Series:
    closes, flows = bars["close"], delta(bars)[1:]
    changes = [b - a for a, b in zip(closes, closes[1:], strict=False)]
    pairs = zip(windows(flows, period), windows(changes, period), strict=True)
    return [None] + [None if f is None else linear_regression(f, c)[0] if len(set(f)) > 1 else 0.0 for f, c in pairs]


def amihud(bars: Bars, period: int) -> Series:
    closes, turnovers = bars["close"], bars["quote_volume"]
    moved = [abs(closes[i] / closes[i - 1] - 1) / turnovers[i] if turnovers[i] else 0.0 for i in range(1, len(closes))]
    return [None] + [None if w is None else fmean(w) for w in windows(moved, period)]
