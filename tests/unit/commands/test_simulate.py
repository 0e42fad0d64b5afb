"""The command `simulate` makes the exchange that it is asked for, with that exchange's own synthetic market."""

from __future__ import annotations

import argparse

import pytest

from trading_platform.commands import simulate
from trading_platform.simulate.exchanges import EXCHANGES


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_venue_chooses_the_exchange_and_what_it_lists(name):
    """Protocol and symbols are those of the exchange of that name."""
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    server = simulate.make_server(parser.parse_args(["--venue", name]))
    assert type(server.exchange) is EXCHANGES[name]
    listed = list(server._symbols.values())
    assert listed == [profile.symbol for profile in EXCHANGES[name].profiles]
