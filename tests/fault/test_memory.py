"""Memory of a real ``ingest`` at 20,000 trades a second: small, and not growing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support.builders import ingest_process as recording
from tests.support.judges import evidence, memory
from tests.support.judges.memory import MOST_GROWTH, MOST_RSS, OVER_S, RATE, Sample, growth, judge, measure, sample

LEAK = """
import sys, threading
kept, pause = [], threading.Event()
print("up", flush=True)
while not pause.wait(0.02):
    kept.append(bytearray(b"x" * 20_000))
"""
NOTES = """
The real command with its recorder, processor and publisher, once with each transport, both at the same time; Binance's
combined trade frames of 50 symbols from senders in processes of their own (`tests/support/builders/steady_feed.py`);
everything logged, decoded, staged, published and sealed meanwhile. Private dirty memory from
`/proc/<pid>/smaps_rollup`; its slope is the median over all pairs of samples. Negative control: a process that keeps a
megabyte a second is found to grow (`tests/fault/test_memory.py`).
"""


@pytest.mark.timeout(300)
def test_resident_memory_stays_small(tmp_path: Path) -> None:
    """Each process of an ingest at this rate stays within 512 MB, while trades are stored as fast as they come."""
    taken, rate = measure(tmp_path, "websockets", warm_up_s=4, seconds=8, every_s=1)
    print({role: f"{max(one.rss for one in samples) >> 20} MB" for role, samples in taken.items()}, f"{rate:,.0f}/s")
    assert judge(taken, slopes=lambda role: False) == []
    assert set(taken) == {"ingest", "recorder", "processor", "publisher"}


def test_a_process_that_has_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What weighs the processes of each fault can fail: with less allowed than this process has, it does."""
    ingest = recording.Ingest.__new__(recording.Ingest)
    ingest.process = psutil.Process()
    monkeypatch.setattr(recording, "MOST_RSS", 1 << 40)
    ingest.weigh()
    monkeypatch.setattr(recording, "MOST_RSS", 1 << 20)
    with pytest.raises(AssertionError):
        ingest.weigh()


def test_a_leak_is_found() -> None:
    """The harness can fail: a process that keeps what it gets is said to grow; one that does not is not."""
    with subprocess.Popen([sys.executable, "-c", LEAK], stdout=subprocess.PIPE) as leaking:
        assert leaking.stdout is not None
        try:
            leaking.stdout.readline()
            taken = sample({"leaking": leaking.pid}, 2, 0.2)
        finally:
            leaking.kill()
    (said,) = judge(taken)
    assert "leaking: private dirty memory changes" in said
    saw = [Sample(float(t), 50_000_000 + 9_000_000 * (t % 7 == 0), 60_000_000) for t in range(80)]
    assert judge({"publishing now and then": saw}) == []
    assert judge({"large": [Sample(float(t), 1, MOST_RSS + 1) for t in range(5)]}) == ["large: 512 MB resident"]
    assert growth([Sample(float(t), t * 10_000, 0) for t in range(80)]) > MOST_GROWTH


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Over more than twelve minutes with either transport no process grows by 16 MB in half an hour."""
    rows, figures, wrong = [], {}, []
    for transport, (taken, rate) in together(tmp_path).items():
        figures[f"trades stored a second, {transport}"] = round(rate)
        wrong += judge(taken)
        wrong += [f"{transport}: only {rate:,.0f} trades a second were stored"] * (rate < 0.9 * RATE)
        rows += [row(transport, role, samples) for role, samples in taken.items()]
    evidence.write(
        "memory", f"Memory of an ingest that is sent {RATE:,} trades a second", figures | LIMITS, rows=rows, notes=NOTES
    )
    assert wrong == []


def together(folder: Path) -> dict[str, tuple[dict[str, list[Sample]], float]]:
    """Measure both transports at the same time, each with a sender and a directory of its own."""

    def one(transport: str) -> tuple[dict[str, list[Sample]], float]:
        (folder / transport).mkdir()
        return measure(folder / transport, transport, warm_up_s=90, seconds=750, every_s=10)

    transports = ("websockets", "fast")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(transports, pool.map(one, transports), strict=True))


LIMITS = {
    "most growth allowed in half an hour, MB": MOST_GROWTH >> 20,
    "most resident memory allowed, MB": MOST_RSS >> 20,
    "samples of each process": "every 10 s for 750 s, after 90 s",
}


def row(transport: str, role: str, samples: list[Sample]) -> dict[str, object]:
    """Return a line of the evidence."""
    dirty = [one.private_dirty / 2**20 for one in samples]
    return {
        "transport": transport,
        "process": role,
        "private dirty, MB": f"{dirty[0]:.1f} → {dirty[-1]:.1f} (greatest {max(dirty):.1f})",
        f"slope, MB in {OVER_S / 60:.0f} min": f"{growth(samples) / 2**20:+.2f}",
        "greatest resident, MB": round(max(one.rss for one in samples) / 2**20),
    }


def test_the_slope_is_that_of_most_pairs() -> None:
    """One table that doubled, or one publish under way, is no growth."""
    step = [Sample(float(t), 10_000_000 + 8_000_000 * (t > 70), 0) for t in range(80)]
    assert abs(growth(step)) < MOST_GROWTH
    assert memory.growth([Sample(0, 0, 0), Sample(10, 100, 0)], over_s=100) == 1000
