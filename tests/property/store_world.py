"""A data directory whose recorders, processors and publishers die at any operation, beside the model of what it holds.

Every call here is one act of one process on the real store; `Fate` says what befalls it. What must hold between any
two acts is `check`, what must hold once all is drained is `finish`. Acts are chosen by test_store_machine.py.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.property import store_model as model, store_wire as wire
from tests.property.store_model import Copy, Told
from tests.property.store_twin import (
    another_world,
    differences,
    empty_ledger,
    ledger_account,
    memory_folder,
    result,
    to_copies,
)
from tests.support.builders.platform_in_process import BOUNDS, MIDNIGHT, SYMBOLS, S
from tests.support.faults.dying_processes import Death, Died, DyingDisk, PowerLost
from trading_platform.domain.errors import LockHeld
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor import processor as processing
from trading_platform.ingest.processor.log_maintenance import LogMaintenance
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.replay.replay import replay
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.segment_files import segment_numbers
from trading_platform.store.log.writer import LaneReader, LaneWriter, Recovered, recover_lane
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

LIVE = ("live-binance", "live-binance-b")
FETCH = ("fetch-0", "fetch-1")
LANES = LIVE + FETCH


class Fate(NamedTuple):
    """What befalls an act.

    Attributes
    ----------
    kind : nothing; its process is killed; the machine loses power; another process acts in the middle of it.
    at : before which of its operations, or after the last one if it has fewer.
    seed : of what a power loss leaves.
    other : which act comes between.
    """

    kind: str = "none"
    at: int = 1
    seed: int = 0
    other: int = 0


FINE = Fate()


class World:
    """See the module.

    Attributes
    ----------
    log : for each lane the records that its writers appended, without those a crash has taken.
    counts : how many acts, crashes and so on there were.
    """

    def __init__(self, *, segment_bytes: int = 2048, batch_bytes: int = 1 << 20, honest: bool = True) -> None:
        self.root = memory_folder()
        self.data = DataDir(self.root).create()
        self.data.ledger_path.write_bytes(empty_ledger())
        self.ledger = Ledger.open(self.data)
        self.disk = DyingDisk(self.root, honest=honest)
        self.disk.watch_commits(self.ledger.database.engine, self.data.ledger_path)
        self.segment_bytes, self._batch_bytes = segment_bytes, batch_bytes
        self.now = MIDNIGHT
        self.writers: dict[str, LaneWriter] = {}
        self.processors: dict[str, Processor] = {}
        self.connections: dict[str, set[int]] = {}
        self.log: dict[str, list[Told]] = {lane: [] for lane in LANES}
        self.acknowledged: dict[str, tuple[int, int]] = dict.fromkeys(LANES, (0, 0))
        self.published: dict[Leaf, set[int]] = {}
        self.counts: Counter[str] = Counter()
        self._busy: set[str] = set()
        self._checked = -1
        self._random = Random(1)
        self._tables: dict[Path, tuple[tuple[int, int, int], list[Copy]]] = {}
        self._usual_batch, processing.BATCH_BYTES = processing.BATCH_BYTES, batch_bytes

    def close(self) -> None:
        """Let everything go."""
        processing.BATCH_BYTES = self._usual_batch
        self._abandon_all()
        self.disk.close_all()
        self.ledger.close()
        shutil.rmtree(self.root)

    # ---- processes and their ends

    def act(self, who: str, act: Callable[[], object], fate: Fate = FINE) -> None:
        """Let one process act, and befall it what shall."""
        self.counts["acts"] += 1
        self._busy.add(who)
        happens = self._event(fate)
        try:
            with self.disk.process(fate.at, happens):
                act()
            if isinstance(happens, Death):
                happens()
        except PowerLost:
            if len(self._busy) > 1:
                raise
            self.counts["power losses"] += 1
            self._lose_power(fate.seed)
        except Died:
            self.counts["kills"] += 1
            self._abandon(who)
        finally:
            self._busy.discard(who)

    def _event(self, fate: Fate) -> Callable[[], object]:
        if fate.kind == "kill":
            return Death(Died)
        if fate.kind == "power":
            return Death(PowerLost)
        if fate.kind == "between" and len(self._busy) == 1:
            return lambda: self._between(fate)
        return lambda: None

    def _between(self, fate: Fate) -> None:
        """Let some other process act, whole, in the middle of one that stands still."""
        self.counts["acts between"] += 1
        lane = LANES[fate.other % len(LANES)]
        inner = Fate("power", 1 + fate.seed % 9, fate.seed) if fate.seed % 5 == 0 else FINE
        acts = [
            lambda: self.process(lane, steps=2, stage=True, fate=inner),
            lambda: self.publish(inner),
            lambda: self.commit(lane, inner),
            lambda: self.keep(retire=fate.seed % 2 == 0, fate=inner),
            lambda: self.close_lane(lane, inner),
        ]
        if "replay" in self._busy:
            acts = [acts[1], acts[3]]  # it holds the locks of processors, and would wait for a writer's
        acts[fate.other // len(LANES) % len(acts)]()

    def _abandon(self, who: str) -> None:
        """Forget a process that was killed; the kernel frees its locks."""
        kind, _, lane = who.partition(" ")
        if kind == "writer" and lane in self.writers:
            self.writers.pop(lane)._lock.release()
            self.connections.pop(lane, None)
        elif kind == "processor" and lane in self.processors:
            self.processors.pop(lane).close()

    def _abandon_all(self) -> None:
        for lane in LANES:
            self._abandon(f"writer {lane}")
            self._abandon(f"processor {lane}")

    def _lose_power(self, seed: int) -> None:
        self._abandon_all()
        self.disk.lose_power(Random(seed))
        self._tables.clear()
        self._checked = -1

    def kill(self, who: str) -> None:
        """Kill a process between two acts."""
        self.counts["kills"] += 1
        self._abandon(who)

    def lose_power(self, seed: int) -> None:
        """Lose power between two acts."""
        self.counts["power losses"] += 1
        self._lose_power(seed)

    # ---- recorders and fetchers

    def open_lane(self, lane: str, fate: Fate = FINE) -> None:
        """Open a lane for writing, recovering what a dead writer left."""
        if lane in self.writers or f"writer {lane}" in self._busy:
            return

        def act() -> None:
            writer = LaneWriter.open(
                self.data.lane(lane),
                clock=lambda: self.now,
                entropy=self._random.randbytes,
                disk=self.disk,
                segment_bytes=self.segment_bytes,
            )
            self.writers[lane] = writer
            self._recovered(lane, writer.recovered)
            if lane in LIVE:
                self.connections[lane] = {1}
                self._append(lane, wire.started(self._tick()))
                self._append(lane, wire.connected(1, self._tick()))
                self._commit(lane)

        self.act(f"writer {lane}", act, fate)

    def _recovered(self, lane: str, found: Recovered) -> None:
        """Take over what survived: at least all that was acknowledged, of the rest a beginning, and nothing damaged."""
        assert found.damaged == ()
        assert self.acknowledged[lane] <= found.end, f"{lane}: acknowledged records lost"
        kept = [told for told in self.log[lane] if told.end <= found.end]
        self.counts["records lost unacknowledged"] += len(self.log[lane]) - len(kept)
        self.log[lane] = kept
        self.acknowledged[lane] = max(self.acknowledged[lane], kept[-1].end) if kept else (0, 0)
        self._check_log(lane)

    def _check_log(self, lane: str) -> None:
        """Every record that is there is read back as it was appended."""
        directory = self.data.lane(lane)
        present = set(segment_numbers(directory, self.disk))
        expected = [(t.end, t.ts_recv, t.raw) for t in self.log[lane] if t.end[0] in present]
        with LaneReader(directory, disk=self.disk) as reader:
            read = [
                (tuple(r.end), r.ts_recv, (int(r.kind), r.connection, r.frames))
                for some in iter(reader.read, [])
                for r in some
            ]
        assert read == expected, f"{lane}: not what was appended"

    def _tick(self, by: int = 1000) -> int:
        self.now += by
        return self.now

    def _append(self, lane: str, draft: wire.Draft) -> None:
        writer = self.writers[lane]
        told = draft.told
        end = writer.append(
            draft.kind, draft.frames, ts_recv=told.ts_recv, mono_ns=told.ts_recv, connection=draft.connection
        )
        self.log[lane].append(replace(told, end=tuple(end)))
        self.counts["records"] += 1

    def append(self, lane: str, make: Callable[[int], wire.Draft], later_ns: int) -> None:
        """Take in one record, received that much later than the last one; it is not durable yet."""
        if lane in self.writers:
            self._append(lane, make(self._tick(later_ns)))

    def _commit(self, lane: str) -> None:
        self.writers[lane].commit()
        if self.log[lane]:
            self.acknowledged[lane] = self.log[lane][-1].end

    def commit(self, lane: str, fate: Fate = FINE) -> None:
        """Make what was taken in durable."""
        if lane in self.writers and f"writer {lane}" not in self._busy:
            self.act(f"writer {lane}", lambda: self._commit(lane), fate)

    def close_lane(self, lane: str, fate: Fate = FINE) -> None:
        """Close a lane in order."""
        if lane not in self.writers or f"writer {lane}" in self._busy:
            return

        def act() -> None:
            self.writers[lane].close()
            if self.log[lane]:
                self.acknowledged[lane] = self.log[lane][-1].end
            self._abandon(f"writer {lane}")

        self.act(f"writer {lane}", act, fate)

    def recover_lane(self, lane: str, fate: Fate = FINE) -> None:
        """Make durable what a dead writer left, as whoever settles dead lanes does."""
        if lane in self.writers or f"writer {lane}" in self._busy or not self.data.lane(lane).exists():
            return
        act = lambda: self._recovered(lane, recover_lane(self.data.lane(lane), disk=self.disk))  # noqa: E731
        self.act(f"writer {lane}", act, fate)

    # ---- processors

    def process(self, lane: str, *, steps: int, stage: bool, fate: Fate = FINE) -> None:
        """Decode some batches of a lane, and stage."""
        who = f"processor {lane}"
        if who in self._busy or not self.data.lane(lane).exists():
            return

        def act() -> None:
            if lane not in self.processors:
                self.processors[lane] = Processor(self.data, lane, self.ledger, VENUES, BOUNDS, disk=self.disk)
            for _ in range(steps):
                self.processors[lane].step()
            if stage:
                self.processors[lane].stage()

        self.act(who, act, fate)

    # ---- publishers and keepers

    def publish(self, fate: Fate = FINE) -> None:
        """Publish every leaf that has parts; one that another publisher is at is passed over."""

        def act() -> None:
            for leaf in sorted(staging.parts(self.data)):
                with suppress(LockHeld):
                    lake.publish(self.data, leaf, ledger=self.ledger, gate=pass_all, disk=self.disk, wait_s=0)

        number = sum(name.startswith("publisher") for name in self._busy)
        self.act(f"publisher {number}", act, fate)

    def keep(self, *, retire: bool, fate: Fate = FINE) -> None:
        """Seal what is staged; retire whatever may go."""
        if "keeper" in self._busy:
            return
        keeper = LogMaintenance(
            self.data,
            self.ledger,
            VENUES,
            BOUNDS,
            retention_ns=0 if retire else None,
            now_ns=lambda: self.now + S,
            disk=self.disk,
        )

        def act() -> None:
            kept = keeper.keep()
            self.counts["segments sealed"] += len(kept.sealed)
            self.counts["segments retired"] += len(kept.retired)
            assert not [reason for reason in kept.objections if "never decoded" in reason]

        self.act("keeper", act, fate)

    def replay(self, *, rebuild_ledger: bool, days: Sequence[str] = model.DAYS, fate: Fate = FINE) -> None:
        """Rebuild the lake, and the ledger, from the log; recorders and processors do not run."""
        for lane in LANES:
            self._abandon(f"writer {lane}")
            self._abandon(f"processor {lane}")
            self.recover_lane(lane)

        def act() -> None:
            scratch = self._scratch() if rebuild_ledger else None
            try:
                replay(
                    self.data,
                    self.ledger,
                    VENUES,
                    BOUNDS,
                    pass_all,
                    days=lambda day: day in days,
                    scratch=scratch,
                    on_lane=lambda lane: None,
                    disk=self.disk,
                )
            finally:
                if scratch is not None:
                    scratch.close()

        self.counts["replays"] += 1
        self.act("replay", act, fate)

    def _scratch(self) -> Ledger:
        data = DataDir(self.data.staging / "scratch").create()
        for path in data.root.glob("ledger.sqlite*"):
            path.unlink()
        data.ledger_path.write_bytes(empty_ledger())
        return Ledger.open(data)

    # ---- what must hold

    def check(self) -> None:
        """Between any two acts: the ledger is the model up to where lanes are decoded, and the lake is within it."""
        if self.disk.operations == self._checked:
            return  # nothing was written since
        self._checked = self.disk.operations
        decoded = self.decoded()
        for symbol in SYMBOLS.values():
            held, expected = ledger_account(self.ledger, symbol), model.account(decoded, symbol)
            assert held == expected, f"{symbol}: {differences(held, expected)}"
        self._check_lake(decoded)

    def decoded(self) -> list[Told]:
        """Return the records before the decoded position of their lane."""
        found = []
        for lane, (decoded, _) in self.ledger.lane_positions().items():
            found += [told for told in self.log[lane] if told.end <= decoded]
        return found

    def _check_lake(self, decoded: Sequence[Told]) -> None:
        copies: dict[tuple[str, int], list[Copy]] = {}
        voids = {void for told in decoded for void in told.voids}
        for told in decoded:
            for symbol, copy in told.copies:
                copies.setdefault((symbol, copy.trade_id), []).append(copy)
        shown: Counter[tuple[str, int]] = Counter()
        held = self.tables()
        for leaf, rows in held.items():
            for row in rows:
                shown[leaf.symbol, row.trade_id] += 1
                known = copies.get((leaf.symbol, row.trade_id))
                assert known, f"{leaf.symbol} {row.trade_id} is in the lake, not in the log"
                assert any(row._replace(ts_event=copy.ts_event) == copy for copy in known), f"{row} was never told"
                assert row.ts_event in {copy.ts_event for copy in known}
        twice = [key for key, times in shown.items() if times > 1]
        assert not twice, f"twice in the lake: {twice}"
        ids = {leaf: {row.trade_id for row in rows} for leaf, rows in held.items()}
        for leaf, before in self.published.items():
            lost = before - ids.get(leaf, set()) - {number for symbol, number in voids if symbol == leaf.symbol}
            assert not lost, f"{leaf.path} lost ids"
        # A name that no directory sync has made durable, its publisher being dead, may go again with the power.
        self.published |= {leaf: found for leaf, found in ids.items() if self._is_durable(self.data.lake / leaf.path)}

    def _is_durable(self, path: Path) -> bool:
        return not self.disk.honest or self.disk.durable_names.get(path) == self.disk.node(path)

    def tables(self) -> dict[Leaf, list[Copy]]:
        """Return every published row; files that have not changed are not read again."""
        found = {}
        for leaf in lake.leaves(self.data, "ticks"):
            path = self.data.lake / leaf.path
            stat = path.stat()
            identity = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if path not in self._tables or self._tables[path][0] != identity:
                self._tables[path] = identity, to_copies(lake.read_leaf(self.data, leaf))
            found[leaf] = self._tables[path][1]
        return found

    def drain(self) -> None:
        """Recover, decode, stage and publish everything."""
        for lane in LANES:
            self.close_lane(lane)
            self.recover_lane(lane)
            if self.data.lane(lane).exists():
                self.process(lane, steps=0, stage=False)
                self.processors[lane].drain()
                self._abandon(f"processor {lane}")
        publish_staged(self.data, self.ledger, pass_all, disk=self.disk)

    def finish(self, *, twice: int | None = None) -> None:
        """With everything drained the lake is the model, and so is the ledger.

        Given a seed, also: a rebuild changes neither, and another world that gets the same records in another order
        comes to the same bytes.
        """
        self.drain()
        self.check()
        told = [record for lane in LANES for record in self.log[lane]]
        assert len(self.decoded()) == len(told)
        rows = {(leaf.symbol, leaf.day): rows for leaf, rows in self.tables().items()}
        expected = model.rows(told)
        for leaf in expected.keys() | rows.keys():
            assert rows.get(leaf) == expected.get(leaf), f"{leaf}: {rows.get(leaf)} for {expected.get(leaf)}"
        assert not staging.parts(self.data)
        found = verify_store(self.data, self.ledger, {"ticks": pass_all}).violations
        assert not found, f"verify says: {found}"
        if twice is None:
            return
        whole = result(self.data, self.ledger)
        self.replay(rebuild_ledger=True)
        assert result(self.data, self.ledger) == whole, "rebuilt, it is not the same"
        with another_world(self.log, twice) as (data, ledger):
            assert result(data, ledger) == whole, "in another order it is not the same"
