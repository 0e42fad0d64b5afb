"""The navigation bar that all our pages have, their style sheet, and the templates that they are made of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

ROOT = "/platform"
LINKS = (
    ("Status", f"{ROOT}/"),
    ("Live market", f"{ROOT}/live"),
    ("Reports", f"{ROOT}/report"),
    ("Dagster", "/"),
    ("dbt docs", f"{ROOT}/dbt/"),
    ("Data Docs", f"{ROOT}/data-docs/"),
)
"""Name and address, relative to the UI."""

STATES = (
    ("complete", "✓", "proved by ids"),
    ("reconciled", "=", "equal to the venue's listing"),
    ("recording", "…", "the day is not over"),
    ("repairing", "~", "missing trades are being fetched"),
    ("incomplete", "!", "recorded in part, or trades are lost"),
    ("unproven", "?", "nothing proves it"),
)
"""A day's states, each with the sign that stands for it and its meaning."""

GLYPHS = {state: glyph for state, glyph, _ in STATES}

TEMPLATES = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def style() -> Any:
    """Return the style sheet, as HTML that needs no escaping."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "style.css").read_text())  # noqa: S704  our own file


@lru_cache(maxsize=4)
def environment(*folders: Path) -> jinja2.Environment:
    """Return templates that escape what they are given: those of the folders, and the ones here."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(links=LINKS, states=STATES, glyphs=GLYPHS, style=style())
    return found
