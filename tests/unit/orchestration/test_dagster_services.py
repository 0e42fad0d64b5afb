"""Loading Dagster's definitions again: when the first day has moved and rests, once, and until it has worked."""

from __future__ import annotations

from trading_platform.orchestration.dagster_services import Reload


class Child:
    """A process that ends when it is told to."""

    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


class Played:
    """A reload on a clock that is set by hand."""

    def __init__(self, noted: str | None) -> None:
        self.noted, self.now = noted, 100.0
        self.children: list[Child] = []
        self.reload = Reload("2024-08-08", lambda: self.noted, self._start, lambda: self.now)  # type: ignore[arg-type]

    def _start(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def after(self, seconds: float) -> int:
        """Look again so much later; return how often it was asked in all."""
        self.now += seconds
        self.reload.look()
        return len(self.children)


def test_a_day_that_rests_is_loaded_once() -> None:
    """Neither at once nor twice; a fetch that moves it again and again is waited for."""
    played = Played("2024-08-08")
    assert played.after(60) == 0
    for day in ("2024-08-07", "2024-08-06", "2024-08-05"):
        played.noted = day
        assert played.after(2) == 0
    assert [played.after(2.9), played.after(0.2), played.after(60)] == [0, 1, 1]
    played.children[0].returncode = 0
    assert played.after(60) == 1


def test_what_moves_meanwhile_is_loaded_after_the_first_has_ended() -> None:
    """Never two at a time."""
    played = Played("2024-08-07")
    played.after(0)
    assert played.after(4) == 1
    played.noted = "2024-08-01"
    played.after(0)
    assert played.after(60) == 1
    played.children[0].returncode = 0
    assert played.after(0) == 2


def test_a_code_server_that_was_not_there_is_asked_again() -> None:
    """After a pause; a file that is away or damaged for a moment asks nothing."""
    played = Played("2024-08-07")
    played.after(0)
    assert played.after(4) == 1
    played.children[0].returncode = 1
    assert [played.after(0), played.after(2.9), played.after(0.2)] == [1, 1, 2]
    played.children[1].returncode = 0
    played.noted = None
    assert played.after(60) == 2
