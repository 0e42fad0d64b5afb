"""The kernel decorator: nothing imported or compiled before it is needed, nothing compiled twice on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from trading_platform import warm
from trading_platform.jit import kernel as module
from trading_platform.jit.kernel import Kernel, kernel

PROBE = """
import json, sys
import trading_platform as tp
from trading_platform.analytics.indicators import INDICATORS
light = [m for m in ("numba", "numpy", "pandas") if m in sys.modules]
from trading_platform.analytics.folding.bars import fold_trades
cost = {name: k.compiled() for name, k in {"ema": INDICATORS["ema"].run, "sma": INDICATORS["sma"].run}.items()}
print(json.dumps({"light": light, "cost": cost}))
"""


def probe(cache):
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", PROBE], env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.process
def test_a_second_process_compiles_nothing(tmp_path):
    """With NUMBA_CACHE_DIR set, the first process compiles into it and the second compiles nothing."""
    assert probe(tmp_path)["cost"] == {"ema": 1, "sma": 1}
    assert any(tmp_path.rglob("*.nbi"))
    assert probe(tmp_path)["cost"] == {"ema": 0, "sma": 0}


@pytest.mark.process
def test_the_table_of_indicators_is_light(tmp_path):
    """Importing the package and the table of indicators imports neither numpy nor numba nor pandas."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.split("from trading_platform.analytics.folding", maxsplit=1)[0] + "print(light)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_warm_knows_every_kernel():
    """Warming loads every module, and a second call in the process costs nothing."""
    cost = warm.warm()
    folding = "trading_platform.analytics.folding.bars.fold_trades"
    assert {"trading_platform.analytics.indicators.rsi_run", folding} <= set(cost)
    assert set(cost.values()) <= {0, 1}
    assert all(name.startswith("trading_platform.") for name in cost)


@kernel()
def inner(x):
    return x + 1.0


@kernel()
def other_inner(x):
    return x + 2.0


def template(x):
    return inner(x)


def test_the_digest_follows_what_is_called():
    """A changed callee changes the name of the cached file, so stale machine code is never run."""
    left = Kernel(template, None, bound={"inner": inner}, name="left")
    same = Kernel(template, None, bound={"inner": inner}, name="left")
    right = Kernel(template, None, bound={"inner": other_inner}, name="left")
    assert left.digest() == same.digest() != right.digest()


def test_an_inner_kernel_runs_as_python():
    """A kernel without a signature is a plain function to Python."""
    assert inner(1.0) == 2.0
    assert "inner" in repr(inner)


def test_a_kernel_refuses_other_types():
    """A compiled kernel takes what its signature says and compiles nothing else silently."""
    known = module.REGISTRY["trading_platform.analytics.folding.exact.two_words_sum"]
    with pytest.raises(TypeError):
        known("text", 3)
