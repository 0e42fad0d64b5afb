"""`symbols` shows what a venue lists: from the venue when asked to, else from the stored listing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform import cli
from trading_platform.simulate.exchange import Exchange
from trading_platform.simulate.exchanges import EXCHANGES

Start = Callable[..., Simulator]


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_the_listing_comes_from_the_venue(
    simulator: Start,  # noqa: F811
    exchange: type[Exchange],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each listed instrument is a row of canonical names and steps; nothing is written to disk."""
    venue = simulator(synthetic(60), exchange=exchange)
    words = ["symbols", "--venue", exchange.name, "--rest-url", venue.rest_url, "--data-dir", str(tmp_path / "data")]
    assert cli.main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["symbol"] for row in rows} >= {"BTC-USDT", "ETH-USDT", "SOL-USDT"}
    assert {row["venue"] for row in rows} == {exchange.name}
    assert cli.main([*words, "--like", "eth"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["symbol", "venue_symbol", "kind"]
    assert lines and all(line.startswith("ETH-") for line in lines)
    assert not (tmp_path / "data").exists()


def test_what_cannot_be_shown_is_one_line(
    simulator: Start,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No stored listing, a venue that does not exist, a filter that nothing passes: exit 2, and what to do."""
    where = ["--data-dir", str(tmp_path)]
    assert cli.main(["symbols", "--venue", "binance", *where]) == 2
    assert "add --fetch to ask the venue" in capsys.readouterr().err
    assert cli.main(["symbols", "--venue", "binanse", *where]) == 2
    assert "not a supported venue" in capsys.readouterr().err
    venue = simulator(synthetic(60))
    assert cli.main(["symbols", "--venue", "binance", "--rest-url", venue.rest_url, "--like", "BTCUSD", *where]) == 2
    assert "the nearest is BTC-USDT" in capsys.readouterr().err
