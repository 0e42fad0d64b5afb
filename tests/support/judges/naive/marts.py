"""The warehouse's marts on pandas: the definitions row by row, from the lake's files. Imports nothing of ours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

Rows = list[dict[str, Any]]


def marts(lake: Path) -> dict[str, pd.DataFrame]:
    """Return every mart that is made of files."""
    day, hour, minute = (_bars(lake, timeframe) for timeframe in ("1d", "1h", "1m"))
    episodes = list(_episodes(lake))
    return {
        "daily_market_summary": pd.DataFrame(_daily(day, minute)),
        "hour_of_day_profile": pd.DataFrame(_hours(hour)),
        "regime_performance": pd.DataFrame(_performance(episodes)),
        "regime_transitions": pd.DataFrame(_transitions(episodes)),
        "cross_venue_spread": pd.DataFrame(_spreads(minute)),
        "venue_share": pd.DataFrame(_shares(day)),
    }


def completeness(days: Rows) -> pd.DataFrame:
    """Return the mart of the ledger's rows."""
    rows = []
    for day in days:
        known = day["stored"] + day["open"] + day["unrecoverable"]
        whole = None if day["expected"] is None else max(known, day["expected"] - day["void"])
        rows.append(
            {
                **{name: value for name, value in day.items() if name != "day"},
                "date": day["day"],
                "proved": day["state"] in ("complete", "reconciled"),
                "held_share": day["stored"] / whole if whole else None,
            }
        )
    return pd.DataFrame(rows)


def _read(root: Path, dataset: str, **wanted: str) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for file in sorted((root / dataset).rglob(f"{dataset}.parquet")):
        keys = dict(part.split("=", 1) for part in file.relative_to(root).parts[1:-1])
        if all(keys[name] == value for name, value in wanted.items()):
            yield keys, pd.read_parquet(file, partitioning=None).sort_values("ts_open")


def _bars(lake: Path, timeframe: str) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Return the bars of each (venue, symbol, date)."""
    return {(k["venue"], k["symbol"], k["date"]): bars for k, bars in _read(lake, "bars", timeframe=timeframe)}


def _returns(bars: pd.DataFrame) -> dict[Any, float]:
    """Return the logarithmic return of each bar with a trade, by its start; a day's first from its own open."""
    found, before = {}, None
    for bar in bars.itertuples():
        if not math.isnan(bar.close):
            found[bar.ts_open] = math.log(bar.close / (bar.open if before is None else before))
            before = bar.close
    return found


def _daily(days: dict[Any, pd.DataFrame], minutes: dict[Any, pd.DataFrame]) -> Rows:
    rows = []
    for (venue, symbol, date), bars in days.items():
        (bar,) = bars.to_dict("records")
        of_day = minutes[venue, symbol, date]
        moves = list(_returns(of_day).values())
        rows.append(
            {
                "venue": venue,
                "symbol": symbol,
                "date": date,
                **{name: bar[name] for name in "open high low close vwap volume quote_volume".split()},
                **{name: bar[name] for name in "taker_buy_volume trade_count complete proof".split()},
                "taker_buy_share": bar["taker_buy_volume"] / bar["volume"],
                "day_return": bar["close"] / bar["open"] - 1,
                "price_range": bar["high"] / bar["low"] - 1,
                "realized_volatility": math.sqrt(sum(move**2 for move in moves)),
                "largest_move": max(map(abs, moves)),
                "minutes": len(moves),
                "incomplete_minutes": int((~of_day["complete"]).sum()),
            }
        )
    return rows


def _hours(hours: dict[Any, pd.DataFrame]) -> Rows:
    by_hour: dict[tuple[str, str, int], Rows] = defaultdict(list)
    traded: dict[tuple[str, str], float] = defaultdict(float)
    for (venue, symbol, _), bars in hours.items():
        for bar in bars.to_dict("records"):
            by_hour[venue, symbol, bar["ts_open"].hour].append(bar)
            traded[venue, symbol] += bar["quote_volume"] if bar["complete"] else 0
    rows = []
    for (venue, symbol, hour), bars in by_hour.items():
        whole = [bar for bar in bars if bar["complete"]]
        moves = [math.log(bar["close"] / bar["open"]) for bar in whole]
        known = [bar for bar in whole if not math.isnan(bar["taker_buy_volume"])]
        volume = sum(bar["volume"] for bar in known)
        rows.append(
            {
                "venue": venue,
                "symbol": symbol,
                "hour": hour,
                "hours": len(whole),
                "incomplete_hours": len(bars) - len(whole),
                **{
                    f"{name}_mean": _mean([bar[name] for bar in whole])
                    for name in "trade_count volume quote_volume".split()
                },
                "volume_share": sum(bar["quote_volume"] for bar in whole) / traded[venue, symbol] if whole else None,
                "taker_buy_share": sum(bar["taker_buy_volume"] for bar in known) / volume if volume else None,
                "return_mean": _mean(moves),
                "absolute_return_mean": _mean([abs(move) for move in moves]),
                "volatility": _deviation(moves),
            }
        )
    return rows


def _episodes(lake: Path) -> Iterator[dict[str, Any]]:
    """Yield the stretches of one label of each series, with what follows them."""
    series: dict[tuple[str, ...], Rows] = defaultdict(list)
    for keys, labels in _read(lake, "regimes"):
        place = lake / "bars" / f"timeframe={keys['timeframe']}" / f"venue={keys['venue']}"
        bars = pd.read_parquet(
            place / f"symbol={keys['symbol']}" / f"date={keys['date']}" / "bars.parquet", partitioning=None
        )
        moves = _returns(bars.sort_values("ts_open"))
        for row in labels.itertuples():
            if row.label is not None:
                key = (keys["model"], keys["timeframe"], keys["venue"], keys["symbol"])
                seconds = (row.ts_close - row.ts_open).total_seconds()
                told = {"label": row.label, "ts_open": row.ts_open, "ts_close": row.ts_close}
                series[key].append({**told, "seconds": seconds, "move": moves.get(row.ts_open)})
    for key, bars_of in series.items():
        ordered = sorted(bars_of, key=lambda bar: bar["ts_open"])
        starts = [at for at, bar in enumerate(ordered) if at == 0 or bar["label"] != ordered[at - 1]["label"]]
        for first, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
            bars_in = ordered[first:end]
            following = ordered[end]["label"] if end < len(ordered) else None
            yield {"key": key, "label": bars_in[0]["label"], "bars": bars_in, "next": following}


_SERIES = ("model", "timeframe", "venue", "symbol")


def _performance(episodes: Rows) -> Rows:
    groups: dict[Any, Rows] = defaultdict(list)
    time: dict[Any, float] = defaultdict(float)
    for episode in episodes:
        episode["dwell"] = sum(bar["seconds"] for bar in episode["bars"])
        groups[*episode["key"], episode["label"]].append(episode)
        time[episode["key"]] += episode["dwell"]
    rows = []
    for (*key, label), found in groups.items():
        bars = [bar for episode in found for bar in episode["bars"]]
        moves = [bar["move"] for bar in bars if bar["move"] is not None]
        dwell = [episode["dwell"] for episode in found]
        rows.append(
            {
                **dict(zip(_SERIES, key, strict=True)),
                "label": label,
                "episodes": len(found),
                "bars": len(bars),
                "transitions": sum(episode["next"] is not None for episode in found),
                "time_share": sum(dwell) / time[tuple(key)],
                "dwell_total_s": sum(dwell),
                "dwell_mean_s": _mean(dwell),
                "dwell_max_s": max(dwell),
                "return_total": sum(moves),
                "return_mean": _mean(moves),
                "volatility": _deviation(moves),
                "ts_first": min(bar["ts_open"] for bar in bars),
                "ts_last": max(bar["ts_close"] for bar in bars),
            }
        )
    return rows


def _transitions(episodes: Rows) -> Rows:
    counts: dict[Any, int] = defaultdict(int)
    ends: dict[Any, int] = defaultdict(int)
    for episode in episodes:
        if episode["next"] is not None:
            counts[*episode["key"], episode["label"], episode["next"]] += 1
            ends[*episode["key"], episode["label"]] += 1
    return [
        {
            **dict(zip((*_SERIES, "label", "next_label"), key, strict=True)),
            "transitions": count,
            "probability": count / ends[key[:-1]],
        }
        for key, count in counts.items()
    ]


def _spreads(minutes: dict[Any, pd.DataFrame]) -> Rows:
    rows = []
    for (venue, symbol, date), (other, symbol_too, date_too) in combinations(sorted(minutes), 2):
        if (symbol, date) != (symbol_too, date_too):
            continue
        closes = (minutes[name, symbol, date].set_index("ts_open")["close"].dropna() for name in (venue, other))
        both = pd.concat(closes, axis=1, join="inner", keys=["a", "b"])
        spreads = [10_000 * (a - b) / ((a + b) / 2) for a, b in zip(both["a"], both["b"], strict=True)]
        if spreads:
            rows.append(
                {
                    "symbol": symbol,
                    "venue": venue,
                    "other_venue": other,
                    "date": date,
                    "minutes": len(spreads),
                    "spread_mean_bps": _mean(spreads),
                    "spread_absolute_mean_bps": _mean([abs(spread) for spread in spreads]),
                    "spread_max_bps": max(map(abs, spreads)),
                    "spread_deviation_bps": _deviation(spreads),
                }
            )
    return rows


def _shares(days: dict[Any, pd.DataFrame]) -> Rows:
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for (venue, symbol, date), bars in days.items():
        (groups[symbol, date][venue],) = bars.to_dict("records")
    return [
        {
            "symbol": symbol,
            "date": date,
            "venue": venue,
            "venues": len(venues),
            "quote_volume": bar["quote_volume"],
            "trade_count": bar["trade_count"],
            "volume_share": bar["quote_volume"] / sum(each["quote_volume"] for each in venues.values()),
            "trade_share": bar["trade_count"] / sum(each["trade_count"] for each in venues.values()),
            "complete": all(each["complete"] for each in venues.values()),
        }
        for (symbol, date), venues in groups.items()
        for venue, bar in venues.items()
    ]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _deviation(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
