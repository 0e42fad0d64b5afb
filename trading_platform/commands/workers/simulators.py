"""Entry point of the built-in simulator of ``up``: ``python -m …workers.simulators [VENUE[=PORT,PORT] …]``.

Started by `up` (commands/support/stack.py), not by users. Exchanges share one process, because each process of its own
would load the same modules again before anything is recorded. A single exchange with faults is commands/simulate.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trading_platform.commands.support.arguments import print_line
from trading_platform.domain.errors import UsageError
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.synthetic_market import GENESIS_NS, SyntheticMarket
from trading_platform.simulate.venue_server import VenueServer
from trading_platform.telemetry import logs


class Played(NamedTuple):
    """One exchange and the ports of its stream and REST; 0: any."""

    venue: str
    port: int = 0
    rest_port: int = 0

    @classmethod
    def read(cls, word: str) -> Played:
        """Return what a word of the command line means.

        Raises
        ------
        UsageError : if it names no exchange that can be played.

        Examples
        --------
        >>> Played.read("kraken=4000,4001")
        Played(venue='kraken', port=4000, rest_port=4001)
        """
        venue, _, ports = word.partition("=")
        if venue not in EXCHANGES:
            raise UsageError(f"{venue[:40]!r} cannot be simulated; known: {' '.join(EXCHANGES)}")
        return cls(venue, *map(int, ports.split(","))) if ports else cls(venue)

    @property
    def word(self) -> str:
        """Return the word that `read` reads."""
        return f"{self.venue}={self.port},{self.rest_port}"

    def server(self) -> VenueServer:
        """Return the exchange with its synthetic market: it begins now, and a restart continues it."""
        exchange = EXCHANGES[self.venue]
        return VenueServer(
            SyntheticMarket(start_ns=GENESIS_NS, profiles=exchange.profiles),
            exchange=exchange,
            port=self.port,
            rest_port=self.rest_port,
            begins_at_ns=time.time_ns,
        )


async def serve(played: Sequence[Played]) -> None:
    """Serve exchanges until stopped. The first line on stdout tells, by exchange, the addresses and what to record."""
    from trading_platform.commands.support.runtime import stop_signals

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        servers = {each.venue: await stack.enter_async_context(each.server()) for each in played}
        with contextlib.suppress(BrokenPipeError):
            print_line({venue: _told(venue, server) for venue, server in servers.items()})
        # One that breaks ends them all: `up` starts the process again.
        running = [asyncio.create_task(server.run_until(stop)) for server in servers.values()]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(*running)


def _told(venue: str, server: VenueServer) -> Mapping[str, object]:
    return {"ws_url": server.ws_url, "rest_url": server.rest_url, "symbols": EXCHANGES[venue].shown()}


def main() -> int:
    """Serve what the command line names, every exchange if it names none."""
    logs.configure(as_json=not sys.stderr.isatty())
    try:
        played = [Played.read(word) for word in sys.argv[1:]] or [Played(venue) for venue in EXCHANGES]
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(serve(played))
    return 0


if __name__ == "__main__":
    sys.exit(main())
