"""A data directory and a simulated exchange with daily files, in one process; waiting advances their clock.

The exchange is asked through a transport of httpx's; everything between that and the disk is the real code.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import LaneEnvironment
from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
from trading_platform.ingest.recovery.recovery import Outcome, fetch_days, recover_missing
from trading_platform.simulate.exchange import Stage
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket
from trading_platform.simulate.tape import Print
from trading_platform.simulate.tape_epochs import TapeNumbering
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.telemetry.progress import Progress
from trading_platform.venues import VENUES

VENUE, SYMBOL, NAME = "binance", "BTC-USDT", "BTCUSDT"
FIRST, LAST = "2024-12-30", "2025-01-02"
START_NS = day_start(FIRST) + DAY_NS // 2
PROFILE = Profile(SYMBOL, 1001, 62_000.0, 2, 0.004, 5, 600, 1.0, pauses=False)
MARKET = SyntheticMarket(start_ns=START_NS, profiles=(PROFILE,))
BOUNDS = Bounds.of("2016-01-01")
Change = Callable[[httpx.Request, httpx.Response], httpx.Response]


class ArchiveWorld:
    """The world.

    Attributes
    ----------
    asked : path and Range of every request, in order.
    change : may put another answer in the place of the exchange's.
    told_to_stop : what every wait answers from now on.
    """

    def __init__(
        self,
        root: Path,
        *events: Event,
        now: str = "2025-01-03T12:00:00",
        venue: str = VENUE,
        market: SyntheticMarket = MARKET,
        symbol: str = SYMBOL,
    ) -> None:
        self._venue, self._market, self._symbol = venue, market, symbol
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self.now_s = self.began_s = dt.datetime.fromisoformat(now + "+00:00").timestamp()
        stage = Stage(market, self._head, lambda: int(self.now_s * 1e9), TapeNumbering(), FaultPlan(events=events), 0)
        self.exchange = EXCHANGES[venue](stage)
        self.asked: list[tuple[str, str]] = []
        self.change: Change = lambda request, answer: answer
        self.told_to_stop = False

    def files_asked(self) -> list[str]:
        """Return the names of the files that were asked for, checksums left out."""
        return [path.rpartition("/")[2] for path, _ in self.asked if path.endswith((".zip", ".gz"))]

    def pages_asked(self) -> int:
        """Return how many pages of trades were asked for over REST."""
        return sum(path.endswith("/historicalTrades") for path, _ in self.asked)

    def fetch(self, first: str = FIRST, last: str = LAST, progress: Progress | None = None) -> Outcome:
        """Fetch whole days, as `backfill --fetch` does."""
        pairs = [(self._venue, self._symbol)]
        return fetch_days(
            self.data, self.ledger, self._endpoints(), self._context(), pairs, first, last, progress=progress
        )

    def recover(self) -> Outcome:
        """Close what is open, as `recover --once` does."""
        return recover_missing(self.data, self.ledger, self._endpoints(), self._context())

    def _endpoints(self) -> dict[str, Endpoint]:
        return {self._venue: Endpoint(VENUES[self._venue], "http://venue.invalid")}

    def _context(self) -> FetchContext:
        return FetchContext(
            BOUNDS,
            pass_all,
            1.0,
            self._wait,
            random.Random(1),
            wall_ns=lambda: int(self.now_s * 1e9),
            monotonic=lambda: self.now_s,
            environment=LaneEnvironment(wall_ns=lambda: int(self.now_s * 1e9)),
            network=httpx.MockTransport(self._answer),
        )

    def rows(self, column: str = "trade_id") -> list[object]:
        """Return a column of everything published, in the order of days."""
        tables = [lake.read_leaf(self.data, leaf, [column]) for leaf in sorted(lake.leaves(self.data, "ticks"))]
        return [value for table in tables if table is not None for value in table[column].to_pylist()]

    def truth(self) -> list[dict[str, object]]:
        """Return the truth lines of everything that the market has issued."""
        head = self._head(NAME)
        assert head is not None
        return [
            {
                "symbol": SYMBOL,
                "trade_id": row.trade_id,
                "ts_event": row.time * (1000 if row.time >= 10**14 else 10**6),
                "price": row.price,
                "quantity": row.quantity,
                "side": "sell" if row.buyer_is_maker else "buy",
                "sent": True,
            }
            for row in MARKET.page(NAME, PROFILE.first_id, head, 10**6)
        ]

    def files(self) -> dict[str, bytes]:
        """Return every published file."""
        return {str(path.relative_to(self.data.lake)): path.read_bytes() for path in self.data.lake.rglob("*.parquet")}

    def missing(self) -> list[tuple[int, int]]:
        """Return the ids that are open."""
        return self.ledger.state(VENUE, SYMBOL).open()

    def _head(self, name: str) -> int | None:
        return self._market.head_at(name, int(self.now_s * 1e9))

    def _wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.told_to_stop

    def cut(self, count: int) -> None:
        """Let the first zip end after so many bytes with a broken connection, and tell the process to stop there."""

        def change(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
            if not request.url.path.endswith(".zip"):
                return answer

            def body() -> Iterator[bytes]:
                yield answer.content[:count]
                self.told_to_stop = True
                raise httpx.ReadError("killed")

            return httpx.Response(200, content=body(), headers={"content-length": str(len(answer.content))})

        self.change = change

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.query.decode()
        self.now_s += 0.01
        self.asked.append((path, request.headers.get("range", "")))
        headers = {name.lower(): value for name, value in request.headers.items()}
        now_s, archive = self.now_s - self.began_s, self.exchange.archive
        assert archive is not None
        if archive.serves(path):
            answer = archive.get(path, headers, now_s=now_s)
        else:
            wall_ns = int(self.now_s * 1e9)
            answer = self.exchange.api.handle("GET", path, query, headers, now_s=now_s, wall_ns=wall_ns)
        assert isinstance(answer.body, bytes)
        plain = httpx.Response(answer.status, content=answer.body, headers=list(answer.headers))
        return self.change(request, plain)


def day_rows(day: str) -> list[Print]:
    """Return the trades that the market had on a day."""
    begin = day_start(day)
    first, past = ((MARKET.head_at(NAME, edge - 1) or PROFILE.first_id - 1) + 1 for edge in (begin, begin + DAY_NS))
    return MARKET.page(NAME, first, past - 1, 10**6)
