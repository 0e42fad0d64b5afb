"""The command that measures; what it measures is not timed here."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import main, names


def test_a_benchmark_that_does_not_exist_is_named_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit 2, and nothing is measured before it."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"no benchmark --help; there are: {', '.join(names())}\n")
    assert {"recorder", "replay", "waits"} <= set(names())
