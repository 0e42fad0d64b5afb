"""A month's model is fitted on earlier days only, kept once fitted, and the shipped one where there are too few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trading_platform.analytics.regimes.default import DEFAULT
from trading_platform.domain.days import day_after, day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.state import regime_models as models
from trading_platform.pipeline.state.regime_models import DayOfBars
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import schema

CONFIG = RegimeConfig(min_days=3, lookback_days=5)
LEAF = Leaf("regimes", "binance", "BTC-USDT", "2024-02-20", "1h", "gaussian_hmm")
HOUR = 3600 * 10**9


class History:
    """Made-up bars of the days asked for; remembers what was asked."""

    def __init__(self, days: int, *, complete: bool = True) -> None:
        self.days, self.complete = days, complete
        self.asked: list[tuple[str, str]] = []
        self.read: list[str] = []

    def __call__(self, leaf: Leaf, first: str, last: str) -> Sequence[DayOfBars]:
        self.asked.append((first, last))
        found = [day_after(last, -back) for back in range(self.days)]
        return [
            DayOfBars(day, f"{day} {self.complete}", "over", lambda columns, day=day: self.rows(day, columns))
            for day in reversed(found)
        ]

    def rows(self, day: str, columns: Sequence[str]) -> pa.Table:
        self.read.append(day)
        rng = np.random.default_rng(day_start(day) // 10**9)
        opens = day_start(day) + np.arange(24) * HOUR
        everything = {
            "ts_open": pa.array(opens).cast(schema.TIME),
            "ts_close": pa.array(opens + HOUR).cast(schema.TIME),
            "trade_count": np.ones(24, np.int64),
            "close": 100 * np.exp(np.cumsum(rng.normal(0, np.where(np.arange(24) < 12, 0.001, 0.02)))),
            "complete": np.full(24, self.complete),
        }
        return pa.table({name: everything[name] for name in columns})


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path).create()


def test_a_model_is_fitted_on_the_days_before_its_month_and_kept(data: DataDir) -> None:
    """Only days before the month's first one are looked at, and only once."""
    history = History(5)
    first = models.in_force(data, CONFIG, LEAF, history)
    assert history.asked == [("2024-01-27", "2024-01-31")]
    assert first.model_version.startswith("gaussian_hmm-")
    assert first.hmm.states == 2
    again = models.in_force(data, CONFIG, LEAF._replace(day="2024-02-01"), History(0))
    assert again.model_version == first.model_version
    assert again.hmm.to_json() == first.hmm.to_json()


def test_each_month_symbol_timeframe_and_size_has_its_own(data: DataDir) -> None:
    """What the model depends on is in the name of its file."""
    others = [
        LEAF._replace(day="2024-03-01"),
        LEAF._replace(symbol="ETH-USDT"),
        LEAF._replace(timeframe="1m"),
        LEAF._replace(venue="kraken"),
    ]
    paths = {models.path_of(data, CONFIG, leaf) for leaf in [LEAF, *others]}
    paths.add(models.path_of(data, CONFIG._replace(states=3), LEAF))
    assert len(paths) == 6
    assert models.path_of(data, CONFIG, LEAF) == models.path_of(data, CONFIG, LEAF._replace(day="2024-02-29"))


@pytest.mark.parametrize("history", [History(0), History(2), History(5, complete=False)])
def test_with_too_few_days_the_shipped_model_labels(data: DataDir, history: History) -> None:
    """Fewer days than asked for, or days without a complete bar: the shipped model, and nothing is kept."""
    assert models.in_force(data, CONFIG, LEAF, history) is DEFAULT
    assert not (data.state / "models").exists()


class Still(History):
    """Bars of a market that hardly moves: its closes over and over."""

    def __init__(self, *closes: float) -> None:
        super().__init__(5)
        self.closes = closes

    def rows(self, day: str, columns: Sequence[str]) -> pa.Table:
        table = super().rows(day, columns)
        if "close" not in columns:
            return table
        at = table.schema.get_field_index("close")
        return table.set_column(at, "close", pa.array(np.resize(self.closes, 24)))


@pytest.mark.parametrize("closes", [[1.0], [0.1], [99999999.1234567, 99999999.1234568], [1e-300], [1e15, 1e15 + 0.125]])
def test_a_market_that_stands_still_teaches_nothing(data: DataDir, closes: list[float]) -> None:
    """Closes that are equal, or equal in ten digits, make no model: the shipped one labels, and nothing is kept."""
    assert models.in_force(data, CONFIG, LEAF, Still(*closes)) is DEFAULT
    assert not (data.state / "models").exists()


def test_a_market_of_few_moves_teaches_nothing(data: DataDir) -> None:
    """One jump in five days is no regime; a tick up and down every other hour is."""

    class Jump(Still):
        def rows(self, day: str, columns: Sequence[str]) -> pa.Table:
            self.closes = (1.0,) if day < "2024-01-30" else (1.01,)
            return super().rows(day, columns)

    assert models.in_force(data, CONFIG, LEAF, Jump()) is DEFAULT
    moving = models.in_force(data, CONFIG, LEAF, Still(1.0, 1.0, 1.0001, 1.0001, 1.0002, 1.0002, 1.0001, 1.0001))
    assert moving is not DEFAULT
    assert np.isfinite(moving.hmm.means).all()


def test_a_damaged_model_is_not_replaced_in_silence(data: DataDir) -> None:
    """A kept model that cannot be read is an error that names the file."""
    path = models.path_of(data, CONFIG, LEAF)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    with pytest.raises(CorruptionError, match=r"2024-02\.json"):
        models.in_force(data, CONFIG, LEAF, History(5))


def test_incomplete_bars_teach_nothing(data: DataDir) -> None:
    """Observations of incomplete bars are left out of a fit."""

    class Half(History):
        def rows(self, day: str, columns: Sequence[str]) -> pa.Table:
            table = super().rows(day, columns)
            if "complete" not in columns:
                return table
            flags = pa.array(np.arange(24) % 2 == 0)
            return table.set_column(table.schema.get_field_index("complete"), "complete", flags)

    everything, half = History(5), Half(5)
    days = (LEAF, "2024-01-27", "2024-01-31")
    assert models.fit(CONFIG, "1h", everything(*days)) is not None
    whole = models.fit(CONFIG, "1h", everything(*days))
    part = models.fit(CONFIG, "1h", half(*days))
    assert whole is not None
    assert part is not None
    assert whole.model_version != part.model_version
