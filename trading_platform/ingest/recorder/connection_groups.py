"""Which symbols share a connection: by the venue's limits in streams and in bytes of an address. Sans-I/O.

What a venue or a proxy before it accepts may be less than is documented: an address that is refused as too long lowers
the bound for all that are opened from then on. When that is so is session.py, who connects is recorder.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Spread:
    """The limits of one venue, as far as they are known.

    Parameters
    ----------
    most_streams, most_bytes : what one connection may carry, and how long its address may be.
    address : the address that streams these symbols.

    Examples
    --------
    >>> spread = Spread(3, 12, "/".join)
    >>> spread.groups(["AAA", "BBB", "CCC", "D"])
    [['AAA', 'BBB', 'CCC'], ['D']]
    >>> spread.split(["AAA", "BBB", "CCC"], too_long=True)
    [['AAA'], ['BBB', 'CCC']]
    >>> spread.most_bytes, spread.fits(["AAA", "BBB", "CCC"])
    (7, False)
    """

    def __init__(self, most_streams: int, most_bytes: int, address: Callable[[Sequence[str]], str]) -> None:
        self.most_bytes = self._declared_bytes = most_bytes
        self._most_streams, self._address = most_streams, address

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether one connection may carry these symbols; a single one always may."""
        return len(names) <= 1 or (len(names) <= self._most_streams and self._bytes(names) <= self.most_bytes)

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """Return the symbols of each connection, in their order, as few connections as that allows."""
        groups: list[list[str]] = []
        for name in names:
            if groups and self.fits([*groups[-1], name]):
                groups[-1].append(name)
            else:
                groups.append([name])
        return groups

    def split(self, names: Sequence[str], *, too_long: bool) -> list[list[str]]:
        """Return smaller groups for one that was refused, two or more.

        Parameters
        ----------
        too_long : the address was refused for its length, so longer ones than half of it need not be tried again.
        """
        halves = names[: len(names) // 2], names[len(names) // 2 :]
        if too_long:
            self.most_bytes = min(self.most_bytes, max(map(self._bytes, halves)))
        return [group for half in halves for group in self.groups(half)]

    def forget(self) -> None:
        """Take note that no address is short enough: what was learned of lengths is worth nothing."""
        self.most_bytes = self._declared_bytes

    def _bytes(self, names: Sequence[str]) -> int:
        return len(self._address(names).encode())
