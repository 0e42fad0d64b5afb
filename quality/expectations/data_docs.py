"""Data Docs that load nothing from elsewhere: what Great Expectations wrote, with our style instead of its scripts.

Its pages take style sheets, scripts and pictures from eight other hosts, and its index shows nothing without them. So
every script, link and picture is taken out, and the index is ours.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"
_OURS = "data-docs.css"

_HEAD = re.compile(r"<head\b.*?</head>", re.DOTALL | re.IGNORECASE)
_SCRIPT = re.compile(r"<script\b.*?(?:</script>|/>)", re.DOTALL | re.IGNORECASE)
_LOADED = re.compile(r"<(?:link|img|iframe|source)\b[^>]*>", re.DOTALL | re.IGNORECASE)
_FOOTER = re.compile(r"<footer\b.*?</footer>", re.DOTALL | re.IGNORECASE)
_HANDLER = re.compile(r"\son[a-z]+=(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_OUTWARD = re.compile(r"<a\b[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>(.*?)</a>", re.DOTALL | re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s\"'<>)]*", re.IGNORECASE)
_ACTIONS = re.compile(r"<div class=\"card mb-3\">\s*<div class=\"card-header p-2\">\s*<strong>Actions.*", re.DOTALL)
_CONTENTS = '<div class="col-md-10 col-lg-10'
"""Where a page's contents begin, after the column with buttons that need scripts."""


class SubjectRow(NamedTuple):
    """A line of the index: a symbol, how many numbers were judged, failed and skipped, and what to look at."""

    name: str
    link: str
    judged: int
    failed: int
    skipped: int
    texts: Sequence[str]


def publish_site(raw: Path, target: Path, day: str, rows: Sequence[SubjectRow]) -> None:
    """Change the pages that Great Expectations wrote, add an index, and put all of it in place of the site before.

    Parameters
    ----------
    raw : the folder that it wrote; it becomes the site.
    """
    shutil.rmtree(raw / "static", ignore_errors=True)
    for page in raw.rglob("*.html"):
        depth = len(page.relative_to(raw).parts) - 1
        page.write_text(self_contained(page.read_text(), "../" * depth))
    shutil.copyfile(_TEMPLATES / _OURS, raw / _OURS)
    (raw / "index.html").write_text(_environment().get_template("index.html.j2").render(day=day, rows=rows))
    before = target.with_name(f"{target.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if target.exists():
        target.rename(before)
    raw.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def self_contained(page: str, up: str = "") -> str:
    """Return a page of Data Docs without anything that is loaded from elsewhere, or leads there.

    >>> page = '<head><link href="https://x.org/a.css"></head><body><img src="https://x.org/b.png">7</body>'
    >>> self_contained(page).partition("</head>")[2]
    '<body>7</body>'
    """
    head = f'<head><meta charset="utf-8"><title>Data Docs</title><link rel="stylesheet" href="{up}{_OURS}"></head>'
    page = _HEAD.sub("", page)
    begin, contents = page.find("<body"), page.find(_CONTENTS)
    body = page[begin:]
    if 0 <= begin < contents:
        body = _ACTIONS.sub("", page[begin:contents]) + page[contents:]
    for pattern in (_SCRIPT, _LOADED, _FOOTER, _HANDLER):
        body = pattern.sub("", body)
    body = _ADDRESS.sub("", _OUTWARD.sub(r"\1", body))
    return page[:begin].replace("<head>", "") + head + body


def folder_of(raw: Path, subject: str) -> str:
    """Return the address of a subject's page of results, relative to the index; empty if there is none."""
    pages = sorted((raw / "validations" / subject).rglob("*.html"))
    return pages[-1].relative_to(raw).as_posix() if pages else ""


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
