"""The tree keeps its promises: generated pages are current, links lead somewhere, nothing names this machine."""

from __future__ import annotations

import ast
import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_platform.reference import PAGES
from trading_platform.venues import VENUES

ROOT = Path(__file__).resolve().parents[2]
CODE = ("trading_platform", "assets", "sensors", "quality", "dbt")
TOP = {
    *("trading_platform", "assets", "sensors", "quality", "dbt", "tests", "docs", "deploy", ".ci", "Makefile"),
    *("workspace.yaml", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
    *(".gitignore", ".dockerignore", ".github"),
    *("requirements.lock", "requirements-test.lock", "requirements-bootstrap.lock"),
}
IGNORED = {"__pycache__", ".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "data"}
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".sql", ".ini", ".mako", ".cfg", ".sh", ""}

# Written in pieces, so that this file does not hold what it looks for.
FOREIGN = {
    "an absolute path of some machine": r"(?<![\w.])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me"]) + r")/\w",
    "the host of a package index": "py" + r"pi\.org|python" + r"hosted\.org|registry\." + "npmjs",
    "an unfinished place": r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b",
}


def files(*names: str) -> Iterator[Path]:
    for name in names:
        top = ROOT / name
        found = [top] if top.is_file() else sorted(top.rglob("*"))
        yield from (
            path
            for path in found
            if path.is_file() and not IGNORED & set(path.relative_to(ROOT).parts[:-1]) and path.suffix in TEXT
        )


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_top_level_is_the_agreed_one():
    """Nothing lies at the top but what the design put there and what is git-ignored."""
    ignored = {line.strip().strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    found = {p.name for p in ROOT.iterdir() if p.name not in {".git", "trading_platform.toml"}}
    unknown = {n for n in found - TOP - ignored if not n.startswith("data-") and not n.endswith(".egg-info")}
    assert unknown - IGNORED == set()


@pytest.mark.parametrize("what", FOREIGN)
def test_nothing_foreign_is_written(what):
    """No file names a machine's paths or a package index, or marks a place as unfinished."""
    found = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in files(*TOP)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(FOREIGN[what], line)
    ]
    assert found == []


def test_modules_say_what_lives_in_them():
    """Each module opens with a docstring."""
    assert [shown(p) for p in files(*CODE) if p.suffix == ".py" and not opens_with_words(p)] == []


def opens_with_words(path: Path) -> bool:
    return re.match(r'(?:#[^\n]*\n)*r?"""\S', path.read_text()) is not None


def test_test_files_open_with_a_sentence():
    """Each test file opens with a docstring."""
    tests = [p for p in files("tests") if p.suffix == ".py" and p.name != "__init__.py"]
    assert [shown(p) for p in tests if not opens_with_words(p)] == []


def test_files_fit_in_a_head():
    """No module is longer than 500 lines."""
    assert [shown(p) for p in files(*CODE) if p.suffix == ".py" and len(p.read_text().splitlines()) > 500] == []


PLAYS_TIME = {
    "tests/support/faults/toxic_proxy.py": "delay is the fault that it plays",
    "tests/simulation/exchange.py": "its loop's time is virtual: nobody waits",
    "tests/simulation/virtual_parts.py": "as above",
}


# One module an exchange: a private name there (`_Row`, `_Head`) says the same thing of each exchange's own wire format.
ONE_AN_EXCHANGE = ("trading_platform/venues", "trading_platform/simulate/exchanges")


def test_no_class_name_has_two_meanings():
    """A class name is defined once, but for private ones that the modules of several exchanges share."""
    places: dict[str, set[str]] = defaultdict(set)
    for path in files("trading_platform", "assets", "sensors", "quality"):
        if path.suffix == ".py":
            folder = next((name for name in ONE_AN_EXCHANGE if shown(path).startswith(name)), shown(path))
            for name in re.findall(r"^ *class (\w+)[:(]", path.read_text(), re.MULTILINE):
                places[name].add(folder if name.startswith("_") else shown(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_tests_do_not_sleep():
    """Tests wait for events, or for a condition through tests/support/waiting.py; they never sleep and hope."""
    pattern = re.compile(r"\b(?:time|asyncio)\." + r"sleep\((?!0\))")
    found = [shown(p) for p in files("tests") if p.suffix == ".py" and pattern.search(p.read_text())]
    assert [path for path in found if path not in PLAYS_TIME] == []


def test_only_commands_print():
    """stdout belongs to results: nothing below the command line prints to it."""
    printing = [
        p
        for p in files(*CODE)
        if p.suffix == ".py" and re.search(r"^\s*print\((?!.*sys.stderr)", p.read_text(), re.MULTILINE)
    ]
    allowed = ("trading_platform/cli.py", "trading_platform/commands/", "trading_platform/warm.py")
    assert [shown(p) for p in printing if not shown(p).startswith(allowed)] == []


def test_no_error_is_swallowed():
    """There is no bare `except`, and none that passes over every error."""
    pattern = re.compile(r"except(?: (?:Base)?Exception)?:\s*(?:#[^\n]*)?\n?\s*pass\b|except:\s")
    assert [shown(p) for p in files(*CODE) if p.suffix == ".py" and pattern.search(p.read_text())] == []


def test_no_foreign_data_is_copied(shared_data):
    """None of the real recordings, whose licences differ, lies in the tree."""
    with shared_data("MANIFEST.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    theirs = {row["sha256"] for row in rows if int(row["size"]) > 0}
    ours = (p for p in (ROOT / "tests").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert [shown(p) for p in ours if hashlib.sha256(p.read_bytes()).hexdigest() in theirs] == []


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name):
    """A generated page is what `make docs` would write now."""
    assert (ROOT / "docs" / name).read_text() == PAGES[name]()


def test_links_of_the_documents_lead_somewhere():
    """Every relative link of README and docs/ names a file that exists."""
    broken = [
        f"{shown(page)}: {target}"
        for page in files("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs")
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.split("#")[0]).exists()
    ]
    assert broken == []


def test_every_page_is_in_the_index():
    """Each page of docs/ can be reached from docs/index.md."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in files("docs") if p.suffix == ".md"]
    assert [p for p in pages if p != "index.md" and f"({p})" not in index] == []


LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-bootstrap.lock")


def pins(lock: str) -> dict[str, str]:
    """Return pinned version to its hashes; on which platforms it is needed differs between locks."""
    entry = re.compile(r"^(\S+==\S+)(?: ;[^\n\\]*)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)
    return dict(entry.findall((ROOT / lock).read_text()))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_hashes(lock):
    """A lock is a list of exact versions, each with hashes, and nothing else."""
    text = (ROOT / lock).read_text()
    rest = re.sub(r"^\s*(?:#.*|--hash=sha256:[0-9a-f]{64}(?: \\)?)$", "", text, flags=re.MULTILINE)
    assert [
        line for line in rest.splitlines() if line.strip() and not re.match(r"[a-z0-9.-]+==\S+ (?:;.* )?\\$", line)
    ] == []
    assert len(pins(lock)) == len(re.findall(r"^\S+==", text, re.MULTILINE))


def test_the_test_lock_holds_the_base_lock():
    """Tests run on exactly the versions that users get."""
    assert pins("requirements.lock").items() <= pins("requirements-test.lock").items()


SPEAK_OF_VENUES = {
    "reference.py": "the settings page's example",
    "api/readers.py": "the contract's default of `venue`, and an example",
    "store/log/segment_files.py": "an example in a message",
    "domain/instrument.py": "an example in a message",
    **{f"commands/{name}.py": "examples and defaults in --help" for name in ("simulate", "ingest", "demo", "symbols")},
    "commands/support/arguments.py": "an example in --help",
    "commands/support/leaf_replay.py": "an example in a message",
}
"""Outside of the adapters and simulators: where a text may name an exchange. No identifier does."""


def test_an_exchange_is_known_to_its_adapter_and_its_simulator_alone() -> None:
    """No name in the code is an exchange's, and its texts name one only as an example or a default."""
    named = re.compile("|".join(VENUES))
    found = set()
    for path in (ROOT / "trading_platform").rglob("*.py"):
        inside = path.relative_to(ROOT / "trading_platform")
        if inside.parts[0] == "venues" or inside.parts[:2] == ("simulate", "exchanges"):
            continue
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                found |= {inside.as_posix()} if named.search(node.value.lower()) else set()
            for name in (getattr(node, field, None) for field in ("id", "attr", "name", "arg", "module")):
                assert not (isinstance(name, str) and named.search(name.lower())), f"{inside}: {name}"
    assert found == set(SPEAK_OF_VENUES)
