"""Every row of the catalogue of faults in one go, long forms included, with the evidence written down."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.builders.ingest_process import MOST_RSS, PEAKS_VARIABLE
from tests.support.judges import evidence
from tests.support.judges.fault_catalogue import SECTIONS, Row

COSTLY = frozenset(
    f"tests/{name}.py"
    for name in (
        *("fault/test_every_operation", "fault/test_kills", "fault/test_strace", "fault/test_publish_stops"),
        *("fault/test_pipeline_killed", "fault/test_hostile_peer", "property/test_stored_bars"),
        *("integration/test_main_line", "integration/test_dagster", "integration/test_pipeline"),
    )
)
"""Files that take minutes, or have campaigns and pages of evidence of their own: not run once more here."""


def run(tests: Iterable[str], report: Path) -> dict[str, list[tuple[bool, float]]]:
    """Run tests in one process; return for each whether its cases passed, and their seconds."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "campaign or not campaign", f"--junitxml={report}"]
    subprocess.run([sys.executable, *words, *tests], cwd=ROOT, capture_output=True, check=False, timeout=5400)
    found: dict[str, list[tuple[bool, float]]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  written by the line above
        file = str(case.get("classname")).replace(".", "/") + ".py"
        name = str(case.get("name")).partition("[")[0]
        passed = not any(child.tag in {"failure", "error", "skipped"} for child in case)
        found.setdefault(f"{file}::{name}", []).append((passed, float(case.get("time") or 0)))
    return found


@pytest.mark.campaign
@pytest.mark.timeout(6000)
def test_every_row_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests that prove a row pass, one after the other on one machine."""
    rows: dict[str, Row] = {name: row for section in SECTIONS.values() for name, row in section.items()}
    wanted = dict.fromkeys(test for row in rows.values() for test in row.tests if test.partition("::")[0] not in COSTLY)
    monkeypatch.setenv(PEAKS_VARIABLE, str(tmp_path / "peaks"))
    found = run(wanted, tmp_path / "report.xml")
    peaks = [int(line) for line in (tmp_path / "peaks").read_text().splitlines()]
    lines, failed = [], []
    for name, row in rows.items():
        cases = [case for test in row.tests for case in found.get(test, [])]
        passed = sum(good for good, _ in cases)
        if passed < len(cases) or (not cases and not COSTLY & {test.partition("::")[0] for test in row.tests}):
            failed.append(name)
        outcome = f"{passed} of {len(cases)} cases hold" if cases else "see the tests of the row"
        lines.append(
            {"row": name, "fault": row.fault, "outcome": outcome, "seconds": round(sum(s for _, s in cases), 1)}
        )
    total = [case for cases in found.values() for case in cases]
    evidence.write(
        "catalogue",
        "Every row of the catalogue of faults",
        {
            "rows": len(rows),
            "tests": len(found),
            "cases": len(total),
            "cases that hold": sum(good for good, _ in total),
            "processes of ingest weighed": len(peaks),
            "most any of them had resident, MB": max(peaks) >> 20,
            "seconds": round(sum(seconds for _, seconds in total), 1),
        },
        rows=lines,
        notes="What is done about each fault, and the tests by name: [faults](../faults.md) and "
        "`tests/support/judges/fault_rows/`. The judge of most rows is `tests/support/judges/identity.py`, "
        "whose own tests tamper with what it judges and are told so.",
    )
    assert failed == []
    assert max(peaks) <= MOST_RSS
