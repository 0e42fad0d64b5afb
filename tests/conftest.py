"""What every test shares: the real recordings, deterministic hypothesis, and guards against silence and leftovers.

Helpers that only some tests need live beside those tests; waiting is tests/support/waiting.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests.support import database

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
RUN_MARK = "PYTEST_RUN_MARK"

hypothesis.settings.register_profile("default", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.register_profile("campaign", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

os.environ[RUN_MARK] = uuid.uuid4().hex

MEMORY = Path("/dev/shm")  # noqa: S108  pytest makes a folder of its own there
LONG_FORM = "HYPOTHESIS_PROFILE" in os.environ
if not LONG_FORM and "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    # Waiting for fsync took more than half of some files' time. What is durable is judged by disks of our own
    # (lossy, full, cut off) and by signals; the campaign, and whoever sets TMPDIR, stay on the real disk.
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their length: content may hold a clock (gzip's header does), and ids must be equal everywhere."""
    return f"{argname}-{len(val)}B" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Give the path of a real recording; a missing one skips the test loudly, and fails it in CI."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            message = f"real data missing: ../shared/data/{relative}"
            if IN_CI:
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [n for n in os.environ if n.upper().startswith("TRADING_PLATFORM_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    """Fail the run if a test left a process, orphans included: they all carry this run's mark."""
    yield
    left = list(_processes_of_this_run())
    _, alive = psutil.wait_procs(left, timeout=3)
    if alive:
        lines = [f"{p.pid} {' '.join(p.cmdline())}" for p in alive if p.is_running()]
        for process in alive:
            process.kill()
        pytest.fail("processes left behind by tests:\n" + "\n".join(lines))


def _processes_of_this_run() -> Iterator[psutil.Process]:
    me = psutil.Process()
    for process in psutil.process_iter():
        try:
            ours = process != me and process.environ().get(RUN_MARK) == os.environ[RUN_MARK]
            # The tracker is Python's own, one per process that uses shared memory; it ends with its parent.
            if ours and "multiprocessing.resource_tracker" not in " ".join(process.cmdline()):
                yield process
        except psutil.Error:
            continue


def pytest_configure(config: pytest.Config) -> None:
    """Name the place of the database server that the whole run shares; it is started by the first test that asks."""
    if not hasattr(config, "workerinput"):
        database.begin_run()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Unpack the database server's programs before the clock of a test runs, if a test may need them."""
    if not session.config.option.collectonly and any(
        hasattr(getattr(i, "module", 0), "postgres") for i in session.items
    ):
        database.absence()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the database server of the run."""
    if not hasattr(config, "workerinput"):
        database.end_run()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run and why, in words nobody overlooks."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        reasons = Counter(str(r.longrepr[2]) if isinstance(r.longrepr, tuple) else "?" for r in skipped)
        terminalreporter.section(f"NOT RUN: {len(skipped)} tests", red=True, bold=True)
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:4d} × {reason}")
