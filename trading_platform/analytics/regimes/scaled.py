"""Step a regime model over stored bars: log returns scaled by their own slow, causal volatility.

Scaling makes one model fit any symbol and timeframe. The scale is an exponentially weighted mean of squared returns
up to the row before, seeded by the first `SEED` of them; so the first `LOOKBACK` rows have no regime. Days, grid and
unknown rows follow the rules of stored indicators (analytics/driver.py). Which model labels which day is pipeline/.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import log, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.driver import Grid
from trading_platform.analytics.regimes.hmm import Floats, GaussianHmm
from trading_platform.analytics.regimes.kernels import filter_run
from trading_platform.domain.errors import WorkError
from trading_platform.jit.kernel import kernel

SEED = 20
SPAN = 500
LOOKBACK = SEED + 1
STATE_VERSION = 1

LABELS: dict[int, tuple[str, ...]] = {
    1: ("normal",),
    2: ("calm", "turbulent"),
    3: ("calm", "normal", "turbulent"),
    4: ("calm", "normal", "lively", "turbulent"),
    5: ("calm", "quiet", "normal", "lively", "turbulent"),
}
"""Names of the states of a model, in order of volatility."""

_MAGIC = b"TPRS"
_HEADER = struct.Struct("<4sH8sH")
_SCALE_SIZE = 4


@kernel("void(f8[::1], const f8[::1], f8[::1])")
def scale_run(scale: Any, close: Any, out: Any) -> None:
    """Turn closes into scaled log returns. scale: seen, previous close, returns seen (up to SEED), mean square.

    A close that is not positive and finite does not step and gives NaN.
    """
    for i in range(len(close)):
        out[i] = nan
        x = close[i]
        if not (x > 0.0 and x - x == 0.0):
            continue
        if scale[0] == 0.0:
            scale[0] = 1.0
            scale[1] = x
            continue
        change = log(x / scale[1])
        scale[1] = x
        if scale[2] < SEED:
            scale[2] += 1.0
            scale[3] += change * change / SEED
            continue
        # A market that has not moved at all has no scale: 1e-8 is less than any tick.
        out[i] = change / sqrt(max(scale[3], 1e-16))
        scale[3] += 2.0 / (SPAN + 1.0) * (change * change - scale[3])


@dataclass
class RegimeState:
    """What is carried from row to row: the scale, and the filter's probabilities."""

    scale: Floats
    carried: Floats

    def copy(self) -> RegimeState:
        """Return an independent copy."""
        return RegimeState(self.scale.copy(), self.carried.copy())


class RegimeRows(NamedTuple):
    """Regimes of a day's rows.

    Attributes
    ----------
    state : int8, -1 where there is none.
    label : its name, None where there is none.
    probability : one row a bar, one column a state; NaN within the lookback.
    change_probability : that the state differs from the row's before, given everything up to this row.
    unknown : rows that hold no trade: null in every column.
    """

    state: npt.NDArray[np.int8]
    label: npt.NDArray[np.object_]
    probability: Floats
    change_probability: Floats
    unknown: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ScaledModel:
    """A model of scaled returns, with the name that stored rows carry.

    Examples
    --------
    >>> from trading_platform.analytics.regimes.default import DEFAULT
    >>> DEFAULT.model_version, DEFAULT.labels
    ('default-1', ('calm', 'normal', 'turbulent'))
    """

    hmm: GaussianHmm
    model_version: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the states."""
        return LABELS[self.hmm.states]

    def start(self) -> RegimeState:
        """Return the state before a symbol's first row."""
        return RegimeState(np.zeros(_SCALE_SIZE), np.zeros(1 + self.hmm.states))

    def step(self, state: RegimeState, observations: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Filter scaled returns, changing `state`; return probabilities (rows × states) and change probability."""
        z = np.ascontiguousarray(observations, dtype=np.float64)
        flat, change = np.empty(len(z) * self.hmm.states), np.empty(len(z))
        filter_run(state.carried, *self.hmm.flat, z, flat, change)
        return flat.reshape(len(z), self.hmm.states), change

    def to_bytes(self, state: RegimeState) -> bytes:
        """Return the state as bytes, the same for the same state on any machine."""
        head = _HEADER.pack(_MAGIC, STATE_VERSION, self._fingerprint, self.hmm.states)
        return head + np.concatenate([state.scale, state.carried]).astype("<f8").tobytes()

    def from_bytes(self, data: bytes) -> RegimeState:
        """Return the state that `to_bytes` wrote. Under another model the scale goes on and the filter begins anew.

        Raises
        ------
        WorkError : if the bytes are no such state.
        """
        try:
            magic, version, fingerprint, states = _HEADER.unpack_from(data)
            values = np.frombuffer(data, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        except (struct.error, ValueError) as error:
            raise WorkError(f"not a state of a regime model: {error}") from error
        if (magic, version, len(values)) != (_MAGIC, STATE_VERSION, _SCALE_SIZE + 1 + states):
            raise WorkError("not a state of a regime model")
        state = self.start()
        state.scale[:] = values[:_SCALE_SIZE]
        if fingerprint == self._fingerprint:
            state.carried[:] = values[_SCALE_SIZE:]
        return state

    @property
    def _fingerprint(self) -> bytes:
        return hashlib.sha256(self.model_version.encode() + self.hmm.to_json()).digest()[:8]


def observe_day(
    scale: Floats, bars: Mapping[str, npt.ArrayLike], *, day_start_ns: int, timeframe_ns: int, end_ns: int
) -> tuple[Floats, Grid]:
    """Return the scaled returns of a symbol-day on the full grid, changing `scale`: what a model is fitted on.

    An interval without a row is known to be empty and moves by nothing; a row without a trade is NaN.
    """
    ts_open = np.asarray(bars["ts_open"], dtype=np.int64)
    held = np.asarray(bars["trade_count"], dtype=np.int64) > 0
    last_close = float(scale[1]) if scale[0] else nan
    grid = Grid(ts_open, held, np.asarray(bars["close"], dtype=np.float64), last_close,
                day_start_ns=day_start_ns, timeframe_ns=timeframe_ns, end_ns=end_ns)  # fmt: skip
    observations = np.empty(len(grid.close))
    scale_run(scale, grid.close, observations)
    return observations, grid


def new_scale() -> Floats:
    """Return the scale before a symbol's first row."""
    return np.zeros(_SCALE_SIZE)


def run_day(
    model: ScaledModel,
    state: RegimeState,
    bars: Mapping[str, npt.ArrayLike],
    *,
    day_start_ns: int,
    timeframe_ns: int,
    end_ns: int,
) -> tuple[RegimeRows, RegimeState]:
    """Label one symbol-day's rows; return them and the state after the day (`state` is not changed).

    Parameters
    ----------
    bars : the day's rows ascending: ``ts_open close trade_count``.
    end_ns : where the grid ends, as in `driver.run_day`.
    """
    after = state.copy()
    observations, grid = observe_day(
        after.scale, bars, day_start_ns=day_start_ns, timeframe_ns=timeframe_ns, end_ns=end_ns
    )
    probability, change = (values[grid.slots] for values in model.step(after, observations))
    unknown = np.asarray(bars["trade_count"], dtype=np.int64) <= 0
    none = np.isnan(probability[:, 0])
    likeliest = np.where(none, -1, np.argmax(np.where(none[:, None], 0.0, probability), axis=1)).astype(np.int8)
    names = np.array([*model.labels, None], dtype=object)
    return RegimeRows(likeliest, names[likeliest], probability, change, unknown), after
