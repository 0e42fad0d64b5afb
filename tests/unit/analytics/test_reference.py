"""The page of indicators is what the table says."""

from __future__ import annotations

from pathlib import Path

from trading_platform.analytics import pictures
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.analytics.reference import reference_markdown

PAGE = Path(__file__).parents[3] / "docs" / "indicators.md"


def test_the_page_is_current():
    """docs/indicators.md is generated; regenerate it when the table changes."""
    assert PAGE.read_text(encoding="utf-8") == reference_markdown()


def test_every_indicator_is_on_it():
    """Each indicator has its section."""
    assert all(f"`{indicator.spelled()}`" in reference_markdown() for indicator in INDICATORS.values())


def test_every_indicator_has_its_picture():
    """The pictures are those of the indicators as they are now; `make docs` draws them again."""
    folder = PAGE.parent / "indicators"
    assert sorted(file.stem for file in folder.iterdir()) == sorted(INDICATORS)
    for name, indicator in INDICATORS.items():
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == pictures.picture(indicator), name
