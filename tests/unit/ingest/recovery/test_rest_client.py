"""Asking over REST: our share of the limit, waits that are honoured, errors that are not mistaken for answers."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.faults.hostile_rest import Behaviour, HostileRest, answer, drip_body, drip_headers, hang
from trading_platform.domain.errors import Banned, RateLimited, VenueError, VenueUnavailable
from trading_platform.ingest.rate_limits.shared_cooldown import Refusals
from trading_platform.ingest.recovery import rest_client as rest
from trading_platform.ingest.recovery.rest_client import ATTEMPTS, RestClient, Stopped
from trading_platform.venues import VENUES
from trading_platform.venues.answers import Request
from trading_platform.venues.binance.history import BinanceHistory
from trading_platform.venues.history import Missing

ASK = Request("/api/v3/historicalTrades", (("symbol", "BTCUSDT"),), {"weight": 25})


class World:
    """A venue that answers from a script, and a clock that only waiting moves."""

    def __init__(self, answers: Callable[[int], httpx.Response], *, used: int | None = None) -> None:
        self.now = 1000.0
        self.stepped = 0.0
        self.waits: list[float] = []
        self.asked_at: list[float] = []
        self.bans: list[int] = []
        self._answers = answers
        self._used = used

    def client(self, **options: object) -> RestClient:
        """Return a client of this world."""
        return RestClient(
            VENUES["binance"],
            "http://venue",
            share=0.5,
            wall_ns=lambda: int((self.now + self.stepped) * 1e9),
            monotonic=lambda: self.now,
            wait=self._wait,
            rng=random.Random(4),
            on_ban=self.bans.append,
            transport=httpx.MockTransport(self._answer),
            **options,  # type: ignore[arg-type]
        )

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(self.now)
        answer = self._answers(len(self.asked_at) - 1)
        if self._used is not None:
            answer.headers["X-MBX-USED-WEIGHT-1M"] = str(self._used)
        return answer


def script(*answers: httpx.Response | Exception) -> Callable[[int], httpx.Response]:
    """Return answers in order; the last one for ever."""

    def answer(number: int) -> httpx.Response:
        given = answers[min(number, len(answers) - 1)]
        if isinstance(given, Exception):
            raise given
        return given

    return answer


OK = httpx.Response(200, content=b"[]")


def test_a_busy_venue_is_asked_again() -> None:
    """503, a broken connection and a time-out are tried again and then answered."""
    broken = [httpx.Response(503), httpx.ConnectError("refused"), httpx.ReadTimeout("slow")]
    world = World(script(*broken, OK))
    assert world.client().get(ASK) == b"[]"
    assert len(world.asked_at) == 4


class _NoGzip(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"this is no gzip"


def test_a_body_that_cannot_be_unpacked_is_no_answer() -> None:
    """200 with an encoding that it is not in: nothing to keep, asked again."""
    broken = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_NoGzip())
    world = World(script(broken, OK))
    assert world.client().get(ASK) == b"[]"
    assert len(world.asked_at) == 2


class _Endless(httpx.SyncByteStream):
    """A body that never ends; each piece takes as long as told."""

    def __init__(self, world: World, piece: bytes, seconds: float) -> None:
        self._world, self._piece, self._seconds = world, piece, seconds
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._world.now += self._seconds
            self.sent += len(self._piece)
            assert self.sent < 1 << 30, "it reads for ever"
            yield self._piece


@pytest.mark.parametrize(("piece", "seconds"), [(bytes(1 << 20), 0.01), (b" ", 9.0)], ids=["giant", "dripping"])
def test_an_answer_without_end_is_given_up(piece: bytes, seconds: float) -> None:
    """A body of gigabytes, or one byte every nine seconds: given up within bounds and asked again."""
    bodies: list[_Endless] = []

    def answer(number: int) -> httpx.Response:
        if number:
            return OK
        bodies.append(_Endless(world, piece, seconds))
        return httpx.Response(200, stream=bodies[0])

    world = World(answer)
    began = world.now
    assert world.client().get(ASK) == b"[]"
    assert bodies[0].sent <= 17 << 20
    assert world.now - began < 90


@pytest.mark.parametrize(
    ("header", "least"),
    [
        (None, 60.0),
        ("5", 60.0),
        ("90", 90.0),
        (" 90 ", 90.0),
        ("100.5", 100.5),
        ("1.5", 60.0),
        ("-3", 60.0),
        ("-90.5", 60.0),
        ("soon", 60.0),
        ("nan", 60.0),
        ("inf", 60.0),
        ("1e2", 60.0),
        ("Thu, 01 Jan 1970 00:18:20 GMT", 100.0),  # our clock stands at 1000 s
        ("Thursday, 01-Jan-70 00:18:20 GMT", 100.0),
        ("Thu, 01 Jan 1970 00:00:20 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wed, 99 Oct 2026 07:28:00 GMT", 60.0),
    ],
)
def test_a_429_waits_a_minute_or_longer(header: str | None, least: float) -> None:
    """Whatever Retry-After says, never under 60 s, never under what it says."""
    headers = {} if header is None else {"Retry-After": header}
    world = World(script(httpx.Response(429, headers=headers), OK))
    world.client().get(ASK)
    assert least <= world.asked_at[1] - world.asked_at[0] <= least * 1.1 + 0.01


def test_a_date_is_understood_by_the_venues_own_clock() -> None:
    """Retry-After less the Date of the same answer, whatever our clock says."""
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:26:20 GMT"}
    world = World(script(httpx.Response(429, headers=headers), OK))
    world.client().get(ASK)
    assert 100.0 <= world.asked_at[1] - world.asked_at[0] <= 110.1


def test_a_429_that_asks_for_too_long_a_wait_is_told_instead() -> None:
    """The caller decides what to do with ten minutes."""
    world = World(script(httpx.Response(429, headers={"Retry-After": "600"})))
    with pytest.raises(RateLimited):
        world.client().get(ASK)
    assert world.waits == []


def test_a_ban_is_told_and_honoured_by_the_next_client() -> None:
    """After a 418 nothing is asked, not even by a new process that knows of the ban."""
    world = World(script(httpx.Response(418, headers={"Retry-After": "3600"}), OK))
    with pytest.raises(Banned):
        world.client().get(ASK)
    assert len(world.asked_at) == 1
    (until_ns,) = world.bans
    with pytest.raises(Banned):
        world.client(banned_until_ns=until_ns).get(ASK)
    assert len(world.asked_at) == 1
    world.now += 3601
    assert world.client(banned_until_ns=until_ns).get(ASK) == b"[]"


class _Facts(dict[str, str]):
    """What the ledger of one data directory remembers."""

    def fact(self, name: str) -> str | None:
        return self.get(name)

    def remember(self, name: str, value: str) -> None:
        self[name] = value


@pytest.mark.parametrize(("status", "least"), [(429, 60.0), (418, 120.0)])
def test_what_one_client_is_refused_binds_the_others(status: int, least: float) -> None:
    """The venue counts by address: nobody here asks within a refusal, neither a client that lives nor a new one."""
    world = World(script(OK, httpx.Response(status), OK))
    facts = _Facts()
    shared = {"refusals": Refusals(facts, "binance", lambda: world.now), "longest_wait_s": 10.0}
    living, refused = world.client(**shared), world.client(**shared)
    living.get(ASK)
    with pytest.raises((RateLimited, Banned)):
        refused.get(ASK)
    refused_at = world.asked_at[-1]
    for client in (living, world.client(**shared)):
        with pytest.raises(RateLimited):
            client.get(ASK)
    assert world.asked_at[-1] == refused_at
    world.now += least * 1.1
    assert living.get(ASK) == b"[]"
    assert world.asked_at[-1] - refused_at >= least


def test_a_step_of_the_wall_clock_ends_no_ban() -> None:
    """A client that was banned waits by the monotonic clock."""
    world = World(script(httpx.Response(418), OK))
    client = world.client(longest_wait_s=10.0)
    with pytest.raises(Banned):
        client.get(ASK)
    world.stepped += 3600.0
    with pytest.raises(Banned):
        client.get(ASK)
    assert len(world.asked_at) == 1


def test_the_budget_is_half_the_limit_in_any_minute() -> None:
    """With 3,000 of 6,000 a minute, no window of 60 s holds more than 120 requests of weight 25."""
    world = World(script(OK))
    client = world.client()
    for _ in range(400):
        client.get(ASK)
    for at in world.asked_at:
        assert sum(at <= other < at + 60 for other in world.asked_at) <= 120


def test_what_others_use_counts() -> None:
    """When the headers say that our address used 5,990 of 6,000, we wait for the next minute."""
    world = World(script(OK), used=5990)
    client = world.client()
    client.get(ASK)
    client.get(ASK)
    assert world.asked_at[1] - world.asked_at[0] >= 60


def test_our_share_is_ours_whatever_others_use() -> None:
    """Others use 3,100 of 6,000: with half the limit ours, three pages come at once."""
    world = World(script(OK), used=3100)
    client = world.client()
    for _ in range(3):
        client.get(ASK)
    assert world.waits == []


def test_near_the_limit_everybody_waits() -> None:
    """The sum stays below nine tenths of the limit: at 5,380 of 6,000 one more page is too much, at 5,375 not."""
    for used, waits in ((5375, 0), (5380, 1)):
        world = World(script(OK), used=used)
        client = world.client()
        client.get(ASK)
        client.get(ASK)
        assert len(world.waits) == waits


def test_a_venue_that_never_answers_is_given_up() -> None:
    """After five failures in a row the venue is asked once every 30 s, and given up after so many attempts."""
    world = World(script(httpx.ConnectError("refused")))
    with pytest.raises(VenueUnavailable):
        world.client().get(ASK)
    assert len(world.asked_at) == ATTEMPTS
    apart = [later - earlier for earlier, later in itertools.pairwise(world.asked_at)]
    assert all(seconds < 30 for seconds in apart[:4])
    assert all(seconds > 29.99 for seconds in apart[4:])


def test_a_venue_that_fails_for_hours_is_still_asked() -> None:
    """After more failures in a row than a float can be doubled, waits are as long as ever and no longer."""
    world = World(script(httpx.Response(503)))
    client = world.client()
    for _ in range(1 + 1100 // ATTEMPTS):
        with pytest.raises(VenueUnavailable):
            client.get(ASK)
    assert len(world.asked_at) > 1100 and max(world.waits) <= 30.0


def test_one_answer_closes_the_breaker() -> None:
    """After the rest one probe is sent; its answer ends the pauses."""
    world = World(script(*[httpx.Response(502)] * 5, httpx.Response(200, content=b"[]")))
    client = world.client()
    client.get(ASK)
    at = world.now
    client.get(ASK)
    assert world.now == at
    assert world.asked_at[5] - world.asked_at[4] > 29.99


def test_an_absurd_retry_after_is_not_believed() -> None:
    """A header of thirty years is a broken header: a week at most."""
    world = World(script(httpx.Response(418, headers={"Retry-After": "999999999"})))
    with pytest.raises(Banned):
        world.client().get(ASK)
    assert world.bans[0] <= (world.now + 7 * 86_400) * 1e9


def test_a_refused_request_is_not_repeated() -> None:
    """A 400 means that the request is wrong: once is enough."""
    world = World(script(httpx.Response(400, text='{"code":-1121,"msg":"Invalid symbol."}')))
    with pytest.raises(VenueError, match="Invalid symbol"):
        world.client().get(ASK)
    assert len(world.asked_at) == 1


def test_being_told_to_stop_ends_a_wait() -> None:
    """SIGTERM during a wait ends it at once."""
    world = World(script(httpx.Response(503)))
    client = world.client()
    client._wait = lambda seconds: True  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        client.get(ASK)


def test_an_error_names_venue_symbol_and_reason() -> None:
    """Whoever reads it at three in the morning knows what did not come."""
    page = BinanceHistory().request("BTCUSDT", BinanceHistory().from_ids(Missing(5, 5)))
    refusals = [
        (httpx.Response(400, text="no"), "binance BTC-USDT: HTTP 400 for /api/v3/historicalTrades: no"),
        (httpx.Response(403, text="no"), "binance BTC-USDT: HTTP 403"),
        (httpx.Response(503), "binance BTC-USDT: no answer to .* the last: HTTP 503"),
        (httpx.ReadTimeout("slow"), "binance BTC-USDT: no answer to .* the last: slow"),
        (httpx.Response(418), "binance BTC-USDT: banned"),
        (httpx.Response(429, headers={"Retry-After": "999"}), "binance BTC-USDT: rate limited"),
    ]
    for refusal, words in refusals:
        with pytest.raises(VenueError, match=words):
            World(script(refusal)).client(longest_wait_s=100.0).get(page, "BTC-USDT")
    with pytest.raises(VenueError, match="binance BTCUSDT: HTTP 404"):
        World(script(httpx.Response(404))).client().get(page)


def real_client(url: str, wait: Callable[[float], bool], monotonic: Callable[[], float] = time.monotonic) -> RestClient:
    """Return a client on the real network."""
    return RestClient(
        VENUES["binance"],
        url,
        share=0.5,
        wall_ns=time.time_ns,
        monotonic=monotonic,
        wait=wait,
        rng=random.Random(1),
    )


BEHAVIOURS = [hang, drip_headers, drip_body]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=[each.__name__ for each in BEHAVIOURS])
def test_a_stop_does_not_wait_for_a_server(behaviour: Behaviour) -> None:
    """Whatever the server does meanwhile, a request under way ends when we are told to stop."""
    with HostileRest(behaviour) as server:
        client = real_client(server.url, lambda seconds: bool(server.asked))
        began = time.monotonic()
        with pytest.raises(Stopped):
            client.get(ASK)
        assert time.monotonic() - began < 5
        client.close()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=[each.__name__ for each in BEHAVIOURS])
def test_a_request_has_a_deadline_whatever_drips(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time is no answer in time: it is given up, said in words, and asked again."""
    monkeypatch.setattr(rest, "HEADERS_WITHIN_S", 0.2)
    monkeypatch.setattr(rest, "LONGEST_ANSWER_S", 0.4)
    monkeypatch.setattr(rest, "ATTEMPTS", 2)
    with HostileRest(behaviour) as server:
        client = real_client(server.url, lambda seconds: False)
        with pytest.raises(VenueUnavailable, match="in time"):
            client.get(ASK)
        assert len(server.asked) == 2
        server.behaviour = answer("200 OK", b"[]")
        assert client.get(ASK) == b"[]"
        client.close()
