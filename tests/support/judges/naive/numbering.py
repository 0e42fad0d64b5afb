"""Naive twin of completeness/sequence_reset.py: assign epochs to a stream's trades one by one. Imports nothing of ours.

The obvious form of the rule, for trades (id, time in ms) given in the order of arrival.
"""

from __future__ import annotations

Trade = tuple[int, int]


class Epoch:
    """One numbering, as far as it was seen."""

    def __init__(self, members: list[Trade], began: int) -> None:
        self.began, self.began_ms = began, members[0][1]
        self.least, self.least_ms = began, members[0][1]
        self.newest = members[-1]
        self.skipped = range(members[0][0] + 1, members[-1][0])
        self.ended: Trade = (0, 0)

    def grow(self, trade: Trade) -> None:
        """Take a trade beyond the newest."""
        if trade[0] > self.newest[0] + 1:
            self.skipped = range(self.newest[0] + 1, trade[0])
        if trade[0] > self.newest[0]:
            self.newest = trade

    def is_odd(self, trade: Trade) -> bool:
        """Tell whether a trade's id contradicts its time."""
        number, ms = trade
        if number > self.newest[0]:
            return ahead(trade, self.newest, 1_000_000)
        if number == self.newest[0]:
            return False
        if number < self.least:
            return ms > self.least_ms
        return ms > self.newest[1] + 2 and number not in self.skipped


def epochs(stream: list[Trade]) -> list[int]:  # noqa: C901  the rules in the order of the text
    """Return the epoch of each trade, -1 where it was set apart and never confirmed."""
    told = [-1] * len(stream)
    known = [Epoch([stream[0]], stream[0][0])]
    apart: list[int] = []
    row: list[int] = []  # ids in a row, below the newest and as late, that came just before
    for at, trade in enumerate(stream):
        now = known[-1]
        older = [n for n in range(len(known) - 1) if is_older(known[n], known[n + 1], trade)]
        if older:
            told[at], row = older[0], []
        elif now.is_odd(trade):
            near = [other for other in apart if alike(stream[other], trade)]
            if not any(stream[other][0] != trade[0] for other in near):
                apart = [*apart, at][-8:]
                continue
            members = sorted([*(stream[other] for other in near), trade])
            if members[0][0] < now.newest[0] or ahead(members[0], now.newest, 100_000_000):
                now.ended = now.newest
                known.append(Epoch(members, row[0] if row and row[-1] + 1 == members[0][0] else members[0][0]))
                row = []
            else:
                for member in members:
                    now.grow(member)
                row = []
            for other in (*near, at):
                told[other] = len(known) - 1
            apart = []
        else:
            told[at] = len(known) - 1
            row = in_a_row(row, trade, now)
            if trade[0] > now.newest[0]:
                if any(trade[1] >= stream[other][1] for other in apart):
                    apart = []
                now.grow(trade)
            elif trade[0] < now.least:
                now.least, now.least_ms = trade
    return told


def in_a_row(row: list[int], trade: Trade, now: Epoch) -> list[int]:
    """Return the ids in a row with this one, none if it is beyond the newest, earlier, or was left out before."""
    number, ms = trade
    if number >= now.newest[0] or ms < now.newest[1] or number in now.skipped:
        return []
    return [*row, number] if row and number in (row[-1], row[-1] + 1) else [number]


def ahead(trade: Trade, newest: Trade, by: int) -> bool:
    """Tell whether an id lies further ahead than can have happened: `by`, and a hundred a millisecond."""
    return trade[0] - newest[0] > by + 100 * max(0, trade[1] - newest[1])


def alike(one: Trade, other: Trade) -> bool:
    """Tell whether two trades may be neighbours in one numbering."""
    (a, a_ms), (b, b_ms) = sorted((one, other))
    return b - a <= 1000 and (a == b or a_ms <= b_ms)


def is_older(old: Epoch, new: Epoch, trade: Trade) -> bool:
    """Tell whether a trade is of the old one of two numberings."""
    number, ms = trade
    ended, ended_ms = old.ended
    if ms < ended_ms:
        return True
    if ms > new.began_ms or (ms > ended_ms and number <= ended):
        return False
    return abs(number - ended) < abs(number - new.began)
