"""What the README tells a newcomer to type works, in its order, on a lake like the demonstration's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.builders.lakes import Market, made_up
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.cli import main

USE = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Use it")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", USE, re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of each of our own commands, but for those that need a server."""
    return [words for block in BLOCKS if "DATABASE_URL" not in block[1] for words in _words(block)]


def _words(block: tuple[str, str]) -> list[list[str]]:
    language, text = block
    lines = [] if language else text.splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("trading-platform ")]


def test_its_commands_and_its_python_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command exits 0, the query shows rows that say something, and the Python runs as it stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_PLATFORM_DATA_DIR", "data-demo")
    monkeypatch.setenv("TRADING_PLATFORM_TIMEFRAMES", "1m,5m")
    _demo(tmp_path)
    told = commands()
    assert [words[0] for words in told] == ["status", "query", "verify", "backfill"]
    for words in (told[-1], *told[:-1]):
        assert main(words) == 0, words
    capsys.readouterr()
    (query,) = [words for words in told if words[0] == "query"]
    assert main([*query, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 100 and all(None not in row.values() and row["volume"] > 0 for row in rows)
    (code,) = [block for language, block in BLOCKS if language == "python"]
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102  it is what stands there that is tested
    assert len(names["bars"]) > 100  # type: ignore[arg-type]


def _demo(folder: Path) -> None:
    """Make what a demonstration leaves, in small."""
    market = Market.open(folder / "data-demo")
    market.ledger.mark_kind("simulated")
    market.hold(made_up("2024-03-14", 2, 300), tail="closed")
    market.ledger.close()


def test_its_database_works(
    postgres: Server,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What follows `database up` there copies, answers and compares; the server here is the tests' own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_PLATFORM_DATA_DIR", "data-demo")
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", postgres.migrated())
    _demo(tmp_path)
    (block,) = [block for block in BLOCKS if "DATABASE_URL" in block[1]]
    told = _words(block)
    assert [words[:2] for words in told if words[0] == "database"] == [["database", "migrate"], ["database", "down"]]
    for words in told[:-1]:
        assert main(words) == 0, words
    assert "2 files compared, 0 not copied yet" in capsys.readouterr().out


def test_two_commands_are_the_two_that_set_everything_up() -> None:
    """`make up` and `make test` come first, `make demo` third; all three are targets."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Two commands")[2].partition("\n## ")[0]
    assert re.findall(r"^make (\w+)", section, re.MULTILINE) == ["up", "test", "demo"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}: install", makefile, re.MULTILINE) for target in ("up", "test", "demo"))
