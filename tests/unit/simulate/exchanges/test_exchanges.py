"""The table of simulated exchanges, and what every exchange in it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

import trading_platform.simulate.exchanges as table
from tests.support.builders.venue_thread import synthetic
from trading_platform.domain.errors import UsageError
from trading_platform.domain.instrument import check_venue
from trading_platform.simulate.exchange import Exchange
from trading_platform.simulate.exchanges import DEFAULT, EXCHANGES
from trading_platform.simulate.faults import KINDS, Event, FaultPlan
from trading_platform.simulate.venue_server import VenueServer

EACH = pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)


def test_the_folder_and_the_table_agree():
    """Each module belongs to an exchange of the table by its name's first word, and each exchange has one."""
    modules = {path.stem.split("_")[0] for path in Path(table.__file__).parent.glob("*.py") if path.stem != "__init__"}
    assert modules == set(EXCHANGES)
    assert DEFAULT in EXCHANGES


@EACH
def test_an_exchange_is_named_as_in_the_table(exchange: type[Exchange]):
    """Its name is a venue's name and its key in the table."""
    assert EXCHANGES[check_venue(exchange.name)] is exchange


@EACH
def test_a_fault_that_an_exchange_cannot_show_is_refused(exchange: type[Exchange]):
    """Every kind of fault is known; only a plan with one that the exchange cannot show is refused."""
    assert exchange.cannot <= KINDS.keys()
    for kind in KINDS:
        plan = FaultPlan(events=[Event(kind=kind, at_id=1)])
        if kind in exchange.cannot:
            with pytest.raises(UsageError, match=f"{exchange.name} cannot show {kind}"):
                VenueServer(synthetic(5), exchange=exchange, plan=plan)
        else:
            VenueServer(synthetic(5), exchange=exchange, plan=plan)


@EACH
def test_each_symbol_has_a_topic_of_its_own(exchange: type[Exchange]):
    """No two listings share a topic."""
    server = VenueServer(synthetic(5), exchange=exchange)
    listings = synthetic(5).listings
    assert len({server.exchange.topic(listing) for listing in listings}) == len(listings)
