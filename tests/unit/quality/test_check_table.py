"""Every fault of the table raises exactly its checks, and clean days raise none."""

from __future__ import annotations

import pytest

from quality.expectations.families import TIERS
from quality.schemas import GATES
from tests.support.builders.frames import CASES, frame
from tests.support.judges.check_table import (
    MARKET_FAULTS,
    PAGE,
    ROW_FAULTS,
    _Market,
    families_of,
    history,
    page,
    raised_by_market,
    raised_by_row,
    statistics_of_market,
    synthetic_day,
    table,
)


@pytest.mark.parametrize("name", ROW_FAULTS)
def test_a_fault_of_rows_raises_its_checks(name: str) -> None:
    """The gate refuses the frame under these checks alone."""
    fault = ROW_FAULTS[name]
    assert raised_by_row(name) == {(fault.dataset, check) for check in fault.checks}


@pytest.mark.parametrize("dataset", CASES)
def test_clean_rows_raise_nothing(dataset: str) -> None:
    """A good frame passes all checks of its gate."""
    assert GATES[dataset](frame(dataset)).failures == ()


@pytest.mark.parametrize("name", MARKET_FAULTS)
def test_a_fault_of_a_day_raises_its_families(name: str) -> None:
    """Statistics of the day are unusual in these families alone."""
    assert raised_by_market(name) == MARKET_FAULTS[name][1]


def test_thirty_clean_days_page_nobody() -> None:
    """Of thirty clean synthetic days none pages, and at most one makes a ticket."""
    raised = [families_of(statistics_of_market(_Market(synthetic_day(100 + at))), history()) for at in range(30)]
    assert not [family for families in raised for family in families if TIERS[family] == "page"]
    assert sum(map(bool, raised)) <= 1, raised


def test_the_page_is_current_and_long_enough() -> None:
    """`python -m tests.support.judges.check_table` would change nothing; at least forty faults are injected."""
    assert PAGE.read_text(encoding="utf-8") == page()
    assert len(table()) >= 40
    assert len({(name, where) for name, where, _ in table()}) == len(table())
