"""Between a socket and who receives from it: messages are given away from within the read, else someone is woken.

Both transports have one. What is kept while nobody takes, and when reading pauses, is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Take = Callable[[Any], bool]
"""Takes some messages, one at least, as a list or packed; returns whether more may follow at once."""


class Delivery:
    """One receiver at a time, which waits while its messages are given away.

    Attributes
    ----------
    wanted : whether there is somebody to give messages to.

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
        """Whether there is somebody to give messages to."""
        return self._take is not None

    def give(self, messages: Any) -> None:
        """Give some messages to who waits for them; `wanted` must be true. What taking raises reaches who waits."""
        assert self._take is not None
        try:
            more = self._take(messages)
        except Exception as error:  # noqa: BLE001  a bug is for who receives: the event loop would only reconnect
            self._take, self._error = None, error
            self.wake()
            return
        if not more:
            self._take, self._enough = None, True
            self.wake()

    def wake(self) -> None:
        """Let who waits look for itself: something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, take: Take | None = None) -> bool:
        """Give `take` what arrives until it has enough or `wake` is called; return whether it has enough."""
        self._take, self._enough, self._error = take, False, None
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._take = self._waiter = None
        if self._error is not None:
            raise self._error
        return self._enough
