"""What lies between the simulated exchange and us: latency, loss, and errors of REST. It draws from one seed."""

from __future__ import annotations

from random import Random


class Network:
    """What lies between us and the exchange.

    Attributes
    ----------
    down : nothing gets through; connections that exist go dead by themselves (`Connection.hole`).
    slow : how many times longer everything takes.
    rest_errors, short_pages, hang, deaf : probabilities.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.down = False
        self.base_s, self.slow = 0.02, 1.0
        self.rest_errors = self.short_pages = self.hang = self.deaf = 0.0

    def latency_s(self) -> float:
        return self.base_s * self.slow * self._rng.uniform(0.5, 2.0)

    def hangs(self) -> bool:
        return self._rng.random() < self.hang

    def deafens(self) -> bool:
        return self._rng.random() < self.deaf

    def rest_fault(self) -> str | None:
        """Return what happens to a request or its answer."""
        draw = self._rng.random()
        if draw < self.rest_errors:
            return self._rng.choice(["unsent", "unanswered", "half"])
        return "short" if draw < self.rest_errors + self.short_pages else None
