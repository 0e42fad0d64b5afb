"""The catalogue of faults is whole: each row is proved by tests that exist, and the page says what the table says."""

from __future__ import annotations

import ast
from functools import lru_cache

import pytest

from tests.conftest import ROOT
from tests.support.judges.fault_catalogue import PAGE, SECTIONS, filled

WANTED = {
    "Network": [f"N{number}" for number in range(1, 21)],
    "Exchange": [f"E{number}" for number in range(1, 26)],
    "Process": [f"P{number}" for number in range(1, 12)],
    "Clock": [f"C{number}" for number in range(1, 5)],
    "Browser": [f"B{number}" for number in range(1, 4)],
    "Numbers": [f"V{number}" for number in range(1, 4)],
    "Rest": [f"R{number}" for number in range(1, 11)],
    "Calls": [f"A{n}" for n in range(1, 11)],
    "Database": [f"T{number}" for number in range(1, 8)],
    "Files": [f"F{number}" for number in range(1, 14)],
}


@lru_cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of a file's tests, those of its classes too."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_fault_has_its_row() -> None:
    """Each fault that is numbered has its row, in order."""
    assert {section: list(rows) for section, rows in SECTIONS.items()} == WANTED


@pytest.mark.parametrize("name", [name for rows in SECTIONS.values() for name in rows])
def test_what_proves_a_row_exists(name: str) -> None:
    """Each test that a row names is a test of that file."""
    (row,) = [rows[name] for rows in SECTIONS.values() if name in rows]
    assert row.tests
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function in names_in(path), test


def test_a_test_that_is_not_there_would_be_noticed() -> None:
    """The check can fail."""
    assert "test_nobody_wrote_this" not in names_in("tests/fault/test_catalogue_clock.py")


def test_the_page_says_what_the_table_says() -> None:
    """`python -m tests.support.judges.fault_catalogue` would change nothing."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page)
