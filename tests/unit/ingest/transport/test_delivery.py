"""Delivery: messages go to who waits from within the read, and nothing that taking says is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from trading_platform.ingest.transport.delivery import Delivery


def waiting(take: Callable[[str], bool] | None, *happen: Callable[[Delivery], None]) -> bool:
    """Wait while these things happen at one turn of the event loop; return what waiting returned."""

    async def run() -> bool:
        delivery = Delivery()
        task = asyncio.create_task(delivery.wait(take))
        await asyncio.sleep(0)
        assert delivery.wanted == (take is not None)
        for thing in happen:
            thing(delivery)
        try:
            return await task
        finally:
            assert not delivery.wanted

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_who_has_enough_gets_no_more() -> None:
    """The message with which it has enough is the last; those before came in order."""
    got: list[str] = []
    more: list[bool] = []

    def take(message: str) -> bool:
        got.append(message)
        return message != "b"

    assert waiting(take, lambda d: d.give("a"), lambda d: d.give("b"), lambda d: more.append(d.wanted))
    assert (got, more) == (["a", "b"], [False])


def test_who_is_woken_has_not_enough() -> None:
    """With somebody to give to or without."""
    assert not waiting(lambda _: True, Delivery.wake)
    assert not waiting(None, Delivery.wake)


def test_enough_counts_though_somebody_woke_first() -> None:
    """Both before the waiting one could look: it must not wait again for what it no longer wants."""
    assert waiting(lambda _: False, Delivery.wake, lambda d: d.give("a"))


@pytest.mark.parametrize("first", [lambda d: None, Delivery.wake])
def test_what_taking_raises_reaches_who_waits(first: Callable[[Delivery], None]) -> None:
    """Not the event loop, which would only drop the connection; whether somebody woke it first or not."""

    def take(message: str) -> bool:
        raise ZeroDivisionError(message)

    with pytest.raises(ZeroDivisionError):
        waiting(take, first, lambda d: d.give("a"))
