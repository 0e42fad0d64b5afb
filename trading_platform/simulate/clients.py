"""The connected clients of a simulated venue: their subscriptions, and writing frames to them.

What is written when is venue_server.py; the connections themselves are sockets.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from trading_platform.simulate.exchange import Exchange
from trading_platform.simulate.sockets import Client, text_frame
from trading_platform.simulate.tape import Print

_SLOW_CONSUMER_BYTES = 32 << 20


class Clients:
    """The connections that are served.

    Parameters
    ----------
    exchange : whose protocol is spoken.
    topics : the topic of each symbol's trades to the market's spelling of the symbol.
    symbols : that to the canonical one.

    Attributes
    ----------
    listeners : a market's symbol to the number of clients that hear its trades.
    """

    def __init__(self, exchange: Exchange, topics: Mapping[str, str], symbols: Mapping[str, str]) -> None:
        self._exchange, self._topics, self._symbols = exchange, topics, symbols
        self._clients: set[Client] = set()
        self._unheard: list[tuple[str | None, int]] = []
        self.listeners: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients))

    def __contains__(self, client: Client) -> bool:
        return client in self._clients

    def add(self, client: Client) -> None:
        """Serve a connection, its first message included."""
        self._clients.add(client)
        self.say(client, client.session.greet())

    def discard(self, client: Client) -> None:
        """Serve it no more."""
        self._clients.discard(client)
        self.count()

    def count(self) -> None:
        """Count anew who listens to what."""
        heard = (self._topics.get(topic) for client in self._clients for topic in client.session.topics)
        self.listeners = Counter(name for name in heard if name is not None)

    def subscribes(self, topics: Iterator[str] | Sequence[str] | Mapping[str, None]) -> bool:
        """Tell whether trades are among the topics."""
        return any(topic in self._topics for topic in topics)

    def meant(self, symbol: str | None) -> list[Client]:
        """Return the clients subscribed to the symbol's trades; None means every client."""
        if symbol is None:
            return list(self._clients)
        wanted = set(self._of(symbol))
        return [client for client in self._clients if not wanted.isdisjoint(client.session.topics)]

    def deafen(self, client: Client, symbol: str | None) -> None:
        """Let it hear no more of the symbol's trades."""
        for topic in self._of(symbol):
            client.session.topics.pop(topic, None)

    def leave_unheard(self, symbol: str | None, count: int) -> None:
        """Let the next subscriptions to the symbol's trades be acknowledged and hear nothing."""
        self._unheard.append((symbol, count))

    def hush(self, client: Client, before: Mapping[str, None]) -> None:
        """Take from a client what it subscribed to since `before` and is to hear nothing of."""
        for topic in [topic for topic in client.session.topics if topic not in before and topic in self._topics]:
            for at, (symbol, left) in enumerate(self._unheard):
                if symbol is None or topic in self._of(symbol):
                    client.session.topics.pop(topic)
                    self._unheard[at : at + 1] = [(symbol, left - 1)] if left > 1 else []
                    break

    def _of(self, symbol: str | None) -> list[str]:
        return [topic for topic, name in self._topics.items() if symbol is None or self._symbols[name] == symbol]

    # Writing

    def send(self, rows: Sequence[Print]) -> None:
        """Write trades to everyone who hears them, many frames with one call."""
        frames: dict[Hashable, list[tuple[str, bytes]]] = {}
        for client in self._clients:
            session = client.session
            form = session.form
            if form not in frames:
                payloads = self._exchange.payloads(rows, form)
                frames[form] = [(topic, text_frame(payload)) for topic, payload in payloads]
            # A whole number of unmasked frames: what the library would write, without its cost per message.
            topics = session.topics
            self.write(client, b"".join(frame for topic, frame in frames[form] if topic in topics))

    def say(self, client: Client, messages: Sequence[bytes]) -> None:
        """Write messages to one client."""
        self.write(client, b"".join(map(text_frame, messages)))

    def ping(self, client: Client, count: int) -> None:
        """Write pings as large as a ping may be."""
        self.write(client, b"".join(b"\x89\x7d" + os.urandom(125) for _ in range(count)))

    @staticmethod
    def write(client: Client, data: bytes) -> None:
        """Write frames to one client, if it takes any."""
        if data and not client.deaf and client.state is State.OPEN and not client.transport.is_closing():
            client.transport.write(data)
            client.written_s = client.loop.time()

    def beat(self, now_s: float) -> None:
        """Send a heartbeat to every subscribed client that got nothing for a while."""
        for client in self._clients:
            if client.session.topics and now_s - client.written_s >= self._exchange.heartbeat_s:
                self.say(client, [self._exchange.heartbeat])

    async def let_take(self, *, patient: bool, on_slow: Callable[[Client], None]) -> None:
        """Wait for every client if patient; else call `on_slow` for slow ones."""
        for client in list(self._clients):
            if patient and not client.deaf:
                with contextlib.suppress(ConnectionError, ConnectionClosed):
                    await client.drain()
            elif client.transport.get_write_buffer_size() > _SLOW_CONSUMER_BYTES:
                on_slow(client)
        await asyncio.sleep(0)
