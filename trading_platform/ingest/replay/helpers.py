"""Further processes of a replay: they take stretches and leaves like the replay itself, and end when it does.

    helper   decode what is free → write down where its trades are → say so → wait → publish what is free → end
    replay   the same, and what nobody else may do; it goes on to publish once all have decoded

A helper inherits the replay's locks. Should the replay be killed, nobody records or publishes before the helper is gone
too, within a second. What the two tell each other beyond one word lies in a scratch folder.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from trading_platform.domain.errors import CorruptionError, PlatformError, StorageError
from trading_platform.ingest.decoder.trade_scanner import scan_frames
from trading_platform.ingest.replay.spill_buffer import SpillBuffer, SpilledRun, grouped
from trading_platform.ingest.replay.tasks import Claims, ReplayContext, decode_segments, publish_shares, shared
from trading_platform.processes.worker_process import Child, obey_parent, parent_teller
from trading_platform.store.fs.checked_file import read_checked, sealed
from trading_platform.store.lake import schema
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.writer import all_lanes

PUBLISH = b"publish"
READY = b"ready"
DECODED = b"decoded"
ORPHANED_EXIT = 3
_POLL_S = 0.002
_STOP_S = 5.0
_KINDS: Mapping[str, type[PlatformError]] = {"damaged": CorruptionError, "failed": StorageError}


class Task(msgspec.Struct, frozen=True):
    """What a helper is started for.

    Attributes
    ----------
    folder : the scratch folder.
    number, of : which helper this is, of how many.
    decodes : whether it decodes, too.
    """

    folder: str
    number: int
    of: int
    decodes: bool

    def begin(self, count: int) -> int:
        """Return the first of so many stretches that it takes.

        Each process begins elsewhere: what one decodes then follows on itself, and need not be merged with the rest.

        >>> [Task("", number, 3, decodes=True).begin(8) for number in range(3)]
        [2, 4, 6]
        """
        return count * (self.number + 1) // (self.of + 1)


class Share(msgspec.Struct):
    """What a helper has decoded: how many trades, and where those are that are wanted."""

    trades: int = 0
    runs: list[SpilledRun] = []


Start = Callable[[Task, Sequence[int]], Child]
"""Starts a helper that keeps these descriptors open."""


class Helpers:
    """The helpers of one replay.

    Parameters
    ----------
    start : starts one.
    locks : descriptors of the locks that a helper keeps.
    decodes : whether they decode, too.
    """

    def __init__(self, folder: Path, count: int, start: Start, locks: Sequence[int], *, decodes: bool) -> None:
        self._folder = folder
        self._pause = threading.Event()
        self._said: dict[bytes, set[str]] = {READY: set(), DECODED: set()}
        self._children: list[Child] = []
        try:
            for number in range(count):
                self._children.append(start(Task(str(folder), number, count, decodes), locks))
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End whoever still runs."""
        for child in self._children:
            child.stop(_STOP_S)

    def check(self) -> None:
        """Raise what a helper could not do.

        Raises
        ------
        CorruptionError, StorageError : what it said, or how it ended.
        """
        for number, child in enumerate(self._children):
            if child.ended() not in (None, 0):
                raise _failure(self._folder, child, number)

    def shares(self) -> list[Share]:
        """Wait until all have decoded; return what."""
        self._await(DECODED)
        files = [_share_of(self._folder, number) for number in range(len(self._children))]
        return [msgspec.json.decode(read_checked(file), type=Share) for file in files]

    def ready(self) -> None:
        """Wait until all have started: whoever measures does not want to measure that."""
        self._await(READY)

    def _await(self, word: bytes) -> None:
        """Wait until all have said the word."""
        while len(self._said[word]) < len(self._children):
            self.check()
            for child in self._children:
                for message in child.messages():
                    self._said[message].add(child.name)
            self._pause.wait(_POLL_S)

    def publish(self, runs: Sequence[SpilledRun]) -> None:
        """Let all publish what is made of these."""
        _plan_of(self._folder).write_bytes(sealed(msgspec.json.encode(runs)))
        for child in self._children:
            child.tell(PUBLISH)

    def join(self) -> None:
        """Wait until all have ended well."""
        for child in self._children:
            while child.ended() is None:
                self._pause.wait(_POLL_S)
        self.check()


def help_out(task: Task, context: ReplayContext, open_ledger: Callable[[], Ledger]) -> int:
    """Do a helper's work; return its exit code."""
    told = threading.Event()
    tell = parent_teller()
    # Whatever it was doing is done again, or has been done, by somebody else.
    obey_parent(
        stop=lambda: os._exit(ORPHANED_EXIT), orphaned=lambda: os._exit(ORPHANED_EXIT), told=lambda word: told.set()
    )
    folder = Path(task.folder)
    try:
        if task.decodes:
            scan_frames.dispatcher()
        context.gate(schema.LEAN.empty_table())  # what it needs is imported when it is first asked
        ledger = open_ledger()
        tell(READY)
        _help(task, context, ledger, lambda: tell(DECODED), told.wait)
        ledger.close()
    except PlatformError as error:
        kind = "damaged" if isinstance(error, CorruptionError) else "failed"
        (folder / f"{kind}-{task.number}").write_text(str(error))
        return 1
    return 0


def _help(
    task: Task,
    context: ReplayContext,
    ledger: Ledger,
    decoded: Callable[[], object],
    wait: Callable[[], object],
) -> None:
    folder = Path(task.folder)
    claims = Claims(folder)
    held = SpillBuffer(folder / f"trades-{task.number}", context.days)
    share = Share()
    try:
        if task.decodes:
            items = shared(context.data, all_lanes(context.data.log))
            for number in claims.take("stretch", len(items), task.begin(len(items))):
                share.trades += decode_segments(context, items[number], held).trades
        share.runs = held.spill()
        _share_of(folder, task.number).write_bytes(sealed(msgspec.json.encode(share)))
    finally:
        held.close()
    decoded()
    wait()
    runs = msgspec.json.decode(read_checked(_plan_of(folder)), type=list[SpilledRun])
    publish_shares(context, ledger, claims, grouped(runs))


def _failure(folder: Path, child: Child, number: int) -> PlatformError:
    for name, kind in _KINDS.items():
        path = folder / f"{name}-{number}"
        if path.exists():
            return kind(path.read_text())
    return StorageError(f"process {child.pid}, which helped, ended with code {child.ended()}; replay again")


def _share_of(folder: Path, number: int) -> Path:
    return folder / f"share-{number}"


def _plan_of(folder: Path) -> Path:
    return folder / "plan"
