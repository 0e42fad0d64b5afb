"""`import trading_platform as tp`: quick, complete, and never shadowed by a subpackage."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import trading_platform as tp

PUBLIC = sorted(tp.__all__)


@pytest.mark.process
def test_importing_is_quick_and_light():
    """The import brings in nothing heavy."""
    code = (
        "import sys, trading_platform; print([m for m in ('numpy', 'pandas', 'pyarrow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_bears_the_name_of_a_call():
    """Importing a subpackage of that name would overwrite the call."""
    assert not {m.name for m in pkgutil.iter_modules(tp.__path__)} & set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name):
    """Each name resolves, twice, to something callable."""
    assert callable(getattr(tp, name))
    assert getattr(tp, name) is getattr(tp, name)
    assert name in dir(tp)


def test_an_unknown_name_is_an_attribute_error():
    """What is not public is not there."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tp.nothing  # noqa: B018  the lookup is what is tested


def test_the_errors_stand_on_the_package():
    """A refusal is caught as `tp.UsageError` or as a ValueError, a failure as `tp.WorkError`."""
    assert issubclass(tp.UsageError, ValueError)
    assert not issubclass(tp.WorkError, ValueError)
    with pytest.raises(tp.UsageError):
        tp.compute([], ["sma_2"])
