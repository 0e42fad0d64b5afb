"""Look at what is stored: files, accounts and sums; bars made again, indicators and regimes computed again. No Dagster.

What changed is looked at often; once a day everything is, as far as a budget of seconds reaches: what was not looked at
for longest comes first. The checks of files are store/verify.py; Dagster's job is stored_checks.py.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from quality.naive_bars import differing
from quality.named_checks import NamedCheck
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.verdict import Gate
from trading_platform.store.fs.disk import write_atomically
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.verify import Violation, verify_files, verify_trades

if TYPE_CHECKING:
    import pyarrow as pa

    from trading_platform.pipeline.pipeline import Pipeline
    from trading_platform.store.ledger import Ledger

_FILES = NamedCheck("Each file is the one that was published, whole, and passes its gate; none is gone.")
_AGAIN = NamedCheck("Computed again from the same inputs, each file comes out the same, bit for bit.")

STORED: dict[str, dict[str, NamedCheck]] = {
    "ticks": {
        "stored_files": _FILES,
        "account": NamedCheck("Every id is stored, void, open or unrecoverable, each exactly once; days add up to it."),
        "published_once": NamedCheck("Every stored trade lies in exactly one file, in order, and nothing else does."),
    },
    "bars": {
        "stored_files": _FILES,
        "conservation": NamedCheck("Bars hold exactly the trades of their day: none is lost, none counts twice."),
        "made_again": NamedCheck("A random sample of bars, made again the obvious way, is the same."),
        "computed_again": _AGAIN,
    },
    "indicators": {"stored_files": _FILES, "computed_again": _AGAIN},
    "regimes": {"stored_files": _FILES, "computed_again": _AGAIN},
    "instruments": {"stored_files": _FILES},
}
"""Dataset to the checks of what is stored."""

_ACCOUNT = {"identity", "gaps", "coverage", "ledger", "kept days"}
_ONCE = {"lake", "duplicates", "order"}
_SAMPLE = 5
"""Bars of a file that are made again."""

Key = tuple[str, str]
"""Dataset and check."""


class Findings(NamedTuple):
    """What was looked at and found: `violations` by check; a check that is not in `looked_at` was not asked."""

    looked_at: Mapping[Key, int]
    violations: Mapping[Key, Sequence[Violation]]
    files: int
    left: int


class StoredData(NamedTuple):
    """What is looked at."""

    data: DataDir
    ledger: Ledger
    gates: Mapping[str, Gate]
    pipeline: Pipeline


def changed(data: DataDir, ledger: Ledger) -> list[Leaf]:
    """Return the leaves that were published since they were last looked at."""
    seen = _seen(data)
    return [leaf for leaf, sha256 in _published(ledger).items() if seen.get(str(leaf.path), ("", 0))[0] != sha256]


def verify(
    stored: StoredData,
    now_ns: int,
    rng: random.Random,
    *,
    everything: bool,
    budget_s: float,
    monotonic: Callable[[], float],
) -> Findings:
    """Look at the changed leaves, or at all of them as far as the budget reaches.

    Parameters
    ----------
    everything : whether to look at all files and the accounts too, not at changed files alone.
    budget_s : seconds after which no further file is begun; it is the first of the next time.
    """
    began = monotonic()
    seen, published = _seen(stored.data), _published(stored.ledger)
    seen = {path: known for path, known in seen.items() if path in {str(leaf.path) for leaf in published}}
    wanted = sorted(published, key=lambda leaf: seen.get(str(leaf.path), ("", 0))[1])
    if not everything:
        wanted = changed(stored.data, stored.ledger)
    looked: dict[Key, int] = defaultdict(int)
    found: dict[Key, list[Violation]] = defaultdict(list)
    if everything:
        looked["ticks", "account"] = looked["ticks", "published_once"] = 1
        for violation in verify_trades(stored.data, stored.ledger, stored.gates):
            found["ticks", _check_of(violation, "ticks")].append(violation)
    done = 0
    for leaf in wanted:
        if monotonic() - began > budget_s:
            break
        done += 1
        before = sum(map(len, found.values()))
        for key, violations in _look(stored, leaf, rng):
            looked[key] += 1
            found[key] += violations
        if sum(map(len, found.values())) == before:  # what is not well is looked at again the next time
            seen[str(leaf.path)] = (published[leaf], now_ns)
        else:
            seen.pop(str(leaf.path), None)
    write_atomically(stored.data.state / "verified.json", json.dumps(seen).encode())
    return Findings(looked, found, done, len(wanted) - done)


def _published(ledger: Ledger) -> dict[Leaf, str]:
    return {leaf: record.file_sha256 for name in DATASETS for leaf, record in ledger.leaves(name).items()}


def _seen(data: DataDir) -> dict[str, tuple[str, int]]:
    """Return the hash under which each file was last found well, and when; nothing if that is not readable."""
    try:
        kept = json.loads((data.state / "verified.json").read_bytes())
        return {str(path): (str(sha256), int(at)) for path, (sha256, at) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _check_of(violation: Violation, dataset: str) -> str:
    if violation.check == "sums":
        return "conservation"
    if dataset == "ticks" and violation.check in _ACCOUNT:
        return "account"
    return "published_once" if dataset == "ticks" and violation.check in _ONCE else "stored_files"


def _look(stored: StoredData, leaf: Leaf, rng: random.Random) -> Iterator[tuple[Key, list[Violation]]]:
    dataset = leaf.dataset
    by_check: dict[str, list[Violation]] = {"stored_files": []}
    if dataset == "bars":
        by_check["conservation"] = []
    for violation in verify_files(stored.data, stored.ledger, stored.gates, [leaf]):
        by_check.setdefault(_check_of(violation, dataset), []).append(violation)
    for check, violations in by_check.items():
        yield (dataset, check), violations
    if by_check["stored_files"]:
        return  # what is not the published file says nothing more
    again = stored.pipeline.differs(leaf)
    if again is not None:  # None of what is recorded, and of what is due to be computed
        text = "computed again it comes out otherwise"
        yield (dataset, "computed_again"), [Violation("computed again", str(leaf.path), text)] if again else []
        if dataset == "bars":
            yield (dataset, "made_again"), list(_made_again(stored, leaf, rng))
            yield (dataset, "conservation"), list(_conserved(stored, leaf))


def _tables(stored: StoredData, leaf: Leaf) -> tuple[pa.Table, pa.Table] | None:
    from trading_platform.store.lake.publish import read_leaf

    ticks = Leaf("ticks", leaf.venue, leaf.symbol, leaf.day)
    tables = read_leaf(stored.data, leaf), read_leaf(stored.data, ticks, ["ts_event", "price", "quantity"])
    return None if tables[0] is None or tables[1] is None else (tables[0], tables[1])


def _conserved(stored: StoredData, leaf: Leaf) -> Iterator[Violation]:
    """Bars that are up to date hold as many trades as the day, not fewer (more is told by the check of the file)."""
    import pyarrow.compute as pc

    tables = _tables(stored, leaf)
    if tables is not None and (count := pc.sum(tables[0]["trade_count"]).as_py() or 0) < tables[1].num_rows:
        yield Violation("sums", str(leaf.path), f"bars hold {count} trades, the day holds {tables[1].num_rows}")


def _made_again(stored: StoredData, leaf: Leaf, rng: random.Random) -> Iterator[Violation]:
    import numpy as np
    import pyarrow as pa

    tables = _tables(stored, leaf)
    if tables is None:
        return
    bars, ticks = tables
    times = ticks["ts_event"].cast(pa.int64()).to_numpy()
    opens, closes = (bars[name].cast(pa.int64()).to_numpy() for name in ("ts_open", "ts_close"))
    for row in sorted(rng.sample(range(bars.num_rows), min(_SAMPLE, bars.num_rows))):
        inside = np.flatnonzero((times >= opens[row]) & (times < closes[row]))
        prices, quantities = (ticks[name].to_numpy()[inside].tolist() for name in ("price", "quantity"))
        (stored_bar,) = bars.slice(row, 1).to_pylist()
        for text in differing(stored_bar, prices, quantities):
            yield Violation("made again", str(leaf.path), f"bar of {stored_bar['ts_open']}: {text}")
