"""Every kind of fault that an exchange declares, over fifty seeds each, with the evidence written down.

The tests are those of test_exchange_kinds.py, test_unproven_ids.py and test_recent_trades.py, which the suite runs over
a few seeds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fault.test_exchange_kinds import SEEDS_VARIABLE
from tests.support.judges import evidence

SEEDS = int(os.environ.get("CAMPAIGN_SEEDS", "50"))
FILES = [f"tests/fault/test_{name}.py" for name in ("exchange_kinds", "unproven_ids", "recent_trades")]
_SEED = re.compile(r"-?\b\d+$")


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_every_kind_of_every_exchange(tmp_path: Path) -> None:
    """Whatever the seed: what the lake holds in the end equals what the exchange issued, or its day is not proved."""
    report = tmp_path / "report.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "-m", "campaign or not campaign"]
    words.append(f"--junitxml={report}")
    environ = {**os.environ, SEEDS_VARIABLE: str(SEEDS)}
    subprocess.run([sys.executable, *words, *FILES], cwd=ROOT, env=environ, check=False, capture_output=True)
    cases: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    failed = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  written by the line above
        test, _, what = str(case.get("name")).rstrip("]").partition("[")
        passed = not any(child.tag in {"failure", "error", "skipped"} for child in case)
        cases[f"{test} {_SEED.sub('', what)}".strip()].append((passed, float(case.get("time") or 0)))
        failed += [] if passed else [f"{test}[{what}]"]
    every = [case for found in cases.values() for case in found]
    evidence.write(
        "exchange-faults",
        "Every kind of fault of every exchange",
        {
            "seeds of each": SEEDS,
            "cases": len(every),
            "cases that hold": sum(good for good, _ in every),
            "cases that do not": ", ".join(failed) or "none",
            "seconds, all together": round(sum(seconds for _, seconds in every)),
        },
        rows=[
            {
                "test, exchange, kinds": name,
                "cases": len(found),
                "hold": sum(good for good, _ in found),
                "longest, s": round(max(seconds for _, seconds in found), 1),
            }
            for name, found in sorted(cases.items())
        ],
        notes="Which kinds a group plays: `tests/fault/test_exchange_kinds.py`. Of bybit each kind by itself: "
        "`tests/fault/test_unproven_ids.py`, of bitstamp `tests/fault/test_recent_trades.py`. The judge compares the "
        "lake with the file of truth that the simulator "
        "writes before it sends anything. The variable `CAMPAIGN_SEEDS` sets the seeds of each; without it fifty.",
    )
    assert failed == []
