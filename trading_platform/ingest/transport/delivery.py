"""Deliver messages to the waiting consumer from the read callback of the socket, without waking a task first.

Both transports have one. Queueing messages while no consumer waits, and pausing the socket, is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Take = Callable[[Any], bool]
"""Takes one message or more, as a list or packed; returns whether the consumer wants more."""


class Delivery:
    """Delivers to one consumer at a time, which waits meanwhile.

    Attributes
    ----------
    wanted : whether a consumer waits for messages.

    Examples
    --------
    >>> async def receive():
    ...     delivery, got = Delivery(), []
    ...     task = asyncio.create_task(delivery.wait(lambda message: got.append(message) or len(got) < 2))
    ...     await asyncio.sleep(0)
    ...     delivery.give("one")
    ...     delivery.give("two")
    ...     return got, await task, delivery.wanted
    >>> asyncio.run(receive())
    (['one', 'two'], True, False)
    """

    def __init__(self) -> None:
        self._take: Take | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._enough = False
        self._error: Exception | None = None

    @property
    def wanted(self) -> bool:
        """Whether a consumer waits for messages."""
        return self._take is not None

    def give(self, messages: Any) -> None:
        """Deliver messages to the consumer; `wanted` must be true. What `take` raises is raised where it waits."""
        assert self._take is not None
        try:
            more = self._take(messages)
        except Exception as error:  # noqa: BLE001  a bug belongs to the consumer: the event loop would only reconnect
            self._take, self._error = None, error
            self.wake()
            return
        if not more:
            self._take, self._enough = None, True
            self.wake()

    def wake(self) -> None:
        """Wake the consumer: something has happened that it must look at itself."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, take: Take | None = None) -> bool:
        """Deliver to `take` what arrives until it has enough or `wake` is called; return whether it has enough."""
        self._take, self._enough, self._error = take, False, None
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._take = self._waiter = None
        if self._error is not None:
            raise self._error
        return self._enough
