"""``replay --leaf``: make single files of the lake again, also while ingest records.

Ticks come from the log (ingest/replay/one_leaf.py); what is computed is computed again from them where its file is
damaged (pipeline/). The whole replay is commands/replay.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.pipeline.results import LeafResult, Status
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir, Leaf
    from trading_platform.store.ledger import Ledger


def leaves_of(texts: Sequence[str], lake: Path) -> list[Leaf]:
    """Return the leaves that are named by their paths: relative to the lake, with it, or absolute.

    Raises
    ------
    UsageError : for a path that is no leaf's, or is a listing of instruments.
    """
    found = []
    for text in texts:
        leaf = _leaf_of(Path(text), lake)
        if leaf is None:
            example = "ticks/venue=binance/symbol=BTC-USDT/date=2024-08-08/ticks.parquet"
            raise UsageError(f"{text[:200]!r} is no file of the lake; name one like {example}")
        if not DATASETS[leaf.dataset].by_symbol:
            raise UsageError(f"{leaf.dataset} are rebuilt by `replay` without --leaf")
        found.append(leaf)
    return list(dict.fromkeys(found))


def _leaf_of(path: Path, lake: Path) -> Leaf | None:
    from trading_platform.store.fs.layout import Leaf

    whole = path.absolute()
    inside = whole.relative_to(lake.absolute()) if whole.is_relative_to(lake.absolute()) else path
    if inside.parts[:1] == ("lake",):
        inside = inside.relative_to("lake")
    return None if inside.is_absolute() else Leaf.from_path(PurePosixPath(inside.as_posix()))


def replay_leaves(settings: Settings, data: DataDir, ledger: Ledger, leaves: Sequence[Leaf]) -> list[LeafResult]:
    """Make these leaves again, ticks first."""
    from quality.schemas import GATES
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import WorkError
    from trading_platform.pipeline.pipeline import Pipeline
    from trading_platform.pipeline.results import LeafResult, describe

    rebuild = runtime.leaf_rebuilder(settings, data, ledger)
    pipeline = Pipeline.from_settings(data, ledger, settings, gates=GATES, heal=rebuild)
    results = []
    for leaf in sorted(leaves, key=lambda each: list(DATASETS).index(each.dataset)):
        if not DATASETS[leaf.dataset].recorded:
            report = pipeline.refresh(leaf.dataset, leaf.day, [(leaf.venue, leaf.symbol)])
            mine = [result for result in report.results if result.leaf == leaf]
            results += mine or [LeafResult(leaf, "absent", reason="the settings compute no such file")]
            continue
        try:
            done = rebuild(leaf)
        except WorkError as error:
            results.append(LeafResult(leaf, "refused", reason=str(error)))
        else:
            status: Status = "computed" if done.changed else "unchanged"
            results.append(
                LeafResult(leaf, status, done.rows, done.verdict)
                if done.verdict.passed
                else LeafResult(leaf, "refused", done.rows, done.verdict, describe(done.verdict))
            )
    return results


_WORDS = {"computed": "made again", "unchanged": "as it was published"}


def line_of(result: LeafResult) -> str:
    """Return what became of a leaf."""
    told = _WORDS.get(result.status, result.status)
    return f"{result.leaf.path}: {told}, {result.rows:,} rows" + (f": {result.reason}" if result.reason else "")


def fields_of(result: LeafResult) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "path": str(result.leaf.path),
        "status": result.status,
        "rows": result.rows,
        "reason": result.reason or result.healed,
    }
