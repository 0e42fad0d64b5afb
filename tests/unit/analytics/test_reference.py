"""The page of indicators is what the table says."""

from __future__ import annotations

from pathlib import Path

from trading_platform.analytics.indicators import INDICATORS
from trading_platform.analytics.reference import reference_markdown

PAGE = Path(__file__).parents[3] / "docs" / "indicators.md"


def test_the_page_is_current():
    """docs/indicators.md is generated; regenerate it when the table changes."""
    assert PAGE.read_text(encoding="utf-8") == reference_markdown()


def test_every_indicator_is_on_it():
    """Each indicator has its section."""
    assert all(f"`{indicator.spelled()}`" in reference_markdown() for indicator in INDICATORS.values())
