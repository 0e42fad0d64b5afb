"""Bugs planted on purpose: what the hash and the judge must notice, or they notice nothing.

Each takes a world before it begins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tests.simulation.virtual_parts import JudgedLedger
from tests.simulation.world import World
from trading_platform.store.ledger import Batch, Seen, SequenceKey, SequenceState

Rule = Callable[[SequenceState, Seen], npt.NDArray[np.bool_]]


def wall_clock(world: World) -> None:
    """The machine's clock takes its last three digits from the real one."""
    told = world.clock.wall_ns
    world.clock.wall_ns = lambda: told() // 1000 * 1000 + time.time_ns() % 1000  # type: ignore[method-assign]


def chance(world: World) -> None:
    """Recorders and recoveries draw from real randomness."""
    world.machine.rng = random.SystemRandom()


class ForgetfulLedger(JudgedLedger):
    """A ledger whose detector takes the first gap of a symbol for stored."""

    def apply(self, batch: Batch, advance: Rule) -> dict[SequenceKey, int]:
        def forget(state: SequenceState, seen: Seen) -> npt.NDArray[np.bool_]:
            fresh = advance(state, seen)
            for first, last in state.open()[:1]:
                state.stored.add(first, last)
            return fresh

        return super().apply(batch, forget)


def forgotten_gap(world: World) -> None:
    """The detector forgets a gap."""
    world.machine.ledger_class = ForgetfulLedger


def early_acknowledgement(world: World) -> None:
    """What was written counts as durable although no sync has brought it onto the platter."""
    world.platter.honest = False


def deaf_detector(world: World) -> None:
    """Gaps between ids are never told: what follows a hole is taken for the beginning of what we hold."""

    class Ledger(JudgedLedger):
        def apply(self, batch: Batch, advance: Rule) -> dict[SequenceKey, int]:
            def begin_anew(state: SequenceState, seen: Seen) -> npt.NDArray[np.bool_]:
                fresh = advance(state, seen)
                if (missing := state.open()) and state.from_id is not None:
                    state.from_id = missing[-1][1] + 1
                    for first, last in list(state.stored):
                        if last < state.from_id:
                            state.stored.remove(first, last)
                return fresh

            return super().apply(batch, begin_anew)

    world.machine.ledger_class = Ledger
