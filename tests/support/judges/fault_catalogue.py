"""The catalogue of faults: each row with what shows of it and the tests that prove it; docs/faults.md is made from it.

``python -m tests.support.judges.fault_catalogue`` writes the tables into the page; tests/unit/test_catalogue.py holds
both to the tests.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.judges.fault_rows import (
    browser,
    calls,
    clock,
    database,
    exchange,
    files,
    network,
    numbers,
    process,
    rest,
)
from tests.support.judges.fault_rows.row import Row

PAGE = Path(__file__).resolve().parents[3] / "docs" / "faults.md"


SECTIONS: dict[str, dict[str, Row]] = {
    "Network": network.ROWS,
    "Exchange": exchange.ROWS,
    "Process": process.ROWS,
    "Clock": clock.ROWS,
    "Browser": browser.ROWS,
    "Numbers": numbers.ROWS,
    "Rest": rest.ROWS,
    "Calls": calls.ROWS,
    "Database": database.ROWS,
    "Files": files.ROWS,
}


def table(rows: dict[str, Row]) -> str:
    """Return the rows as the page shows them."""
    lines = ["| | fault | what is done, and how it shows | proved by |", "|---|---|---|---|"]
    for name, row in rows.items():
        files = dict.fromkeys(test.partition("::")[0].rpartition("/")[2].removesuffix(".py") for test in row.tests)
        lines.append(f"| {name} | {row.fault} | {row.shows} | {', '.join(f'`{file}`' for file in files)} |")
    return "\n".join(lines)


def filled(page: str) -> str:
    """Return the page with each table as it is now; what lies between the tables stays."""
    for section, rows in SECTIONS.items():
        head, mark, rest = page.partition(f"## {section}\n")
        assert mark, f"docs/faults.md has no section {section}"
        intro, _, rest = rest.partition("| | fault |")
        after = rest.partition("\n\n")[2]
        page = f"{head}{mark}{intro}{table(rows)}\n\n{after}"
    return page.rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
