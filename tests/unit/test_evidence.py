"""Pages of evidence say when, from which commit, by which command, and what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.judges import evidence


@pytest.mark.process
def test_a_page_names_its_origin_and_its_figures(tmp_path: Path) -> None:
    """Date, commit, command and every figure are on the page; the next run replaces it."""
    rows = [{"kind": "a", "flips": 2000}, {"kind": "b", "flips": 1.5}]
    for lost in (3, 0):
        path = evidence.write(
            "power-cuts", "Power cuts", {"lost": lost, "a | b": True}, rows=rows, folder=tmp_path / "evidence"
        )
    page = path.read_text()
    assert path == tmp_path / "evidence" / "power-cuts.md"
    assert page.startswith("# Power cuts\n\n| what | figure |\n")
    assert all(f"| {name} | " in page for name in ("date", "commit", "command", "machine"))
    assert "| lost | 0 |" in page
    assert "| lost | 3 |" not in page
    assert "| a \\| b | True |" in page
    assert "| kind | flips |\n| --- | --- |\n| a | 2,000 |\n| b | 1.5 |\n" in page


@pytest.mark.process
def test_a_page_is_listed_once_in_the_index(tmp_path: Path) -> None:
    """The index of the documentation leads to every page, under a heading of its own, whatever else it says."""
    index = tmp_path / "index.md"
    index.write_text("# Documentation\n\n- [Log](log.md)\n")
    for name in ("a", "b", "a"):
        evidence.write(name, name.upper(), {}, folder=tmp_path / "evidence")
    assert index.read_text() == (
        "# Documentation\n\n- [Log](log.md)\n\n## Evidence\n\nWritten by `make campaign`.\n\n"
        "- [A](evidence/a.md)\n- [B](evidence/b.md)\n"
    )
