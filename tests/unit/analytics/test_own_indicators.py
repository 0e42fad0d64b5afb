"""A user's own indicator, from a file or an entry point, is computed, streamed, listed and named like ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trading_platform as tp
from trading_platform.analytics import own_indicators as own
from trading_platform.analytics.driver import Plan
from trading_platform.pipeline.datasets import indicators as dataset
from trading_platform.pipeline.day_context import PipelineConfig

FILE = Path(__file__).parents[2] / "support" / "own" / "body.py"
BARS = pd.DataFrame({"open": [1.0, 2.0, 3.0], "close": [2.0, 4.0, 0.0]})


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    """Each test begins as a fresh process does."""
    monkeypatch.setattr(own, "_own", {})
    monkeypatch.setattr(own, "_loaded", set())
    monkeypatch.setattr(own, "_paths", {})
    monkeypatch.setattr(own, "_ask", [])


def test_a_file_is_named_like_ours():
    """It computes, streams, composes and stands in the table; its parameter has bounds."""
    own.use_paths([str(FILE)])
    assert tp.compute(BARS, ["body_2"])["body_2"].tolist()[1:] == [1.5, 2.5]
    live = tp.stream(["ema_1__body_2"])
    found = [live.update(dict(row))["ema_1__body_2"] for row in BARS.to_dict("records")]
    assert found == [None, 1.5, 2.5]
    (row,) = tp.indicator_table().query("name == 'body_10'").to_dict("records")
    assert (row["lookback"], row["inputs"], row["source"]) == (9, "open, close", "this file")
    with pytest.raises(tp.UsageError, match="'body_0': period must be a whole number from 1 to 10000"):
        tp.compute(BARS, ["body_0"])
    with pytest.raises(tp.UsageError, match="nearest: body_10"):
        tp.compute(BARS, ["bodi_10"])


def test_a_folder_is_read_once():
    """All files of a folder are taken, and the same file twice changes nothing."""
    assert [one.name for one in own.load_path(FILE.parent)] == ["body"]
    assert own.load_path(FILE) == []
    assert Plan(["body_3"]).inputs == ("open", "close")


def test_an_entry_point_is_found(tmp_path, monkeypatch):
    """A package installed beside ours adds its indicator by its entry point."""
    (tmp_path / "mine.py").write_text(FILE.read_text())
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[trading_platform.indicators]\nbody = mine:BODY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tp.compute(BARS, ["body_1"])["body_1"].tolist() == [1.0, 2.0, 3.0]
    (info / "entry_points.txt").write_text("[trading_platform.indicators]\nbody = mine:naive\n")
    monkeypatch.setattr(own, "_loaded", set())
    with pytest.raises(tp.UsageError, match=r"entry point 'body' .* is no Indicator"):
        own.known()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is no Python", "cannot be read"),
        ("x = 1", "defines no Indicator"),
        (FILE.read_text().replace('name="body"', 'name="sma"'), "an indicator 'sma_10' exists"),
        (FILE.read_text().replace('name="body"', 'name="Body 1"'), "its name 'Body 1' is not of small letters"),
        (FILE.read_text().replace('inputs=("open", "close")', "inputs=()"), "has no input or no output"),
        (FILE.read_text().replace("words=ROLLING_WORDS", "words=-1"), "its words are no whole number"),
        (FILE.read_text().replace('("period", 10,', '("period", 0,'), "a default is out of its bounds"),
    ],
    ids=["no Python", "nothing", "a name of ours", "no name", "no input", "words", "default"],
)
def test_what_cannot_be_used_is_said(tmp_path, text, message):
    """A broken file is refused with one sentence that names it."""
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(tp.UsageError, match=message) as raised:
        own.load_path(file)
    assert "broken.py" in str(raised.value)


def test_a_missing_file_is_said(tmp_path):
    """A path that is not there is refused."""
    with pytest.raises(tp.UsageError, match=r"nowhere\.py"):
        own.load_path(tmp_path / "nowhere.py")


def test_stored_values_follow_the_code(tmp_path):
    """What is stored depends on the code of own indicators, and on nothing more for ours."""
    own.load_path(FILE)
    assert set(dataset.settings(PipelineConfig())) == {"names", "state"}
    config = PipelineConfig(indicators=("sma_7", "ema_2__body_7"))
    (code,) = dataset.settings(config)["own"].values()
    changed = tmp_path / "body.py"
    changed.write_text(FILE.read_text().replace("abs(close - opened)", "abs(opened - close) + 1.0"))
    own._own.clear()
    own.load_path(changed)
    dataset._plan.cache_clear()
    assert dataset.settings(config)["own"] != {"body": code}
    dataset._plan.cache_clear()


PROBE = """
import json
import pandas as pd, trading_platform as tp
frame = pd.DataFrame({"open": [1.0, 2.0], "close": [2.0, 4.0]})
print(json.dumps(tp.compute(frame, ["body_1"])["body_1"].tolist()))
"""


@pytest.mark.process
def test_the_setting_is_followed(tmp_path):
    """INDICATOR_PATHS names files that `tp.compute` of a fresh process knows."""
    environ = {**os.environ, "TRADING_PLATFORM_INDICATOR_PATHS": str(FILE)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [1.0, 2.0]
    assert np.isfinite(json.loads(done.stdout)).all()
