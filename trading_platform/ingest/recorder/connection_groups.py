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
    stream_of : which of the venue's streams carries a symbol; one connection carries symbols of one.

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

    def __init__(
        self,
        most_streams: float,
        most_bytes: float,
        address: Callable[[Sequence[str]], str],
        stream_of: Callable[[str], str] = lambda name: "",
    ) -> None:
        self.most_bytes = self._declared_bytes = most_bytes
        self._most_streams, self._address, self._stream_of = most_streams, address, stream_of

    def fits(self, names: Sequence[str]) -> bool:
        """Tell whether one connection may carry these symbols; a single one always may."""
        if len(names) <= 1:
            return True
        if len(names) > self._most_streams or len(set(map(self._stream_of, names))) > 1:
            return False
        return self._bytes(names) <= self.most_bytes

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """Return the symbols of each connection, in their order, as few connections as that allows."""
        found: list[list[str]] = []
        last: dict[str, list[str]] = {}
        for name in names:
            group = last.get(self._stream_of(name))
            if group is not None and self.fits([*group, name]):
                group.append(name)
            else:
                last[self._stream_of(name)] = group = [name]
                found.append(group)
        return found

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
