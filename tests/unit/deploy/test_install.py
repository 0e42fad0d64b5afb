"""Installation refuses in one line what cannot work, and does nothing when nothing changed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "install.py"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Load the script as a module that works on an empty tree and runs nothing."""
    spec = importlib.util.spec_from_file_location("install_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(module, "PYTHON", str(tmp_path / ".venv" / "bin" / "python"))
    for name in (module.BOOTSTRAP_LOCK, module.BASE_LOCK, module.TEST_LOCK, "pyproject.toml"):
        (tmp_path / name).write_text(name)
    module.steps = []
    monkeypatch.setattr(module, "run", module.steps.append)
    monkeypatch.setattr(module, "install", lambda lock: module.steps.append(["install", lock]))
    monkeypatch.setattr(module, "unpack_database", lambda: None)
    return module


def make_venv(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)


def test_a_python_that_is_too_old_is_refused_in_one_line(install, monkeypatch, capsys):
    """Where no supported Python is found, one line says which are, and the exit code is 2."""
    monkeypatch.setattr(install, "OLDEST", (4, 0))
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    assert install.main([]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in err
    assert install.steps == []


def test_a_missing_venv_is_refused_in_one_line(install, monkeypatch, capsys):
    """Where Debian's python3-venv is not installed, one line says what to install, and the exit code is 2."""
    monkeypatch.setattr(install, "venv_is_missing", lambda: True)
    assert install.main([]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"apt-get install python3.{sys.version_info[1]}-venv" in err


def test_the_script_can_be_read_by_an_old_python():
    """It only says that Python is too old if that Python can read it: nothing newer than 3.8 is written there."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))


def test_a_second_run_does_nothing(install, tmp_path, monkeypatch):
    """With nothing changed nothing is installed; a changed lock installs again."""
    monkeypatch.setattr(install, "usable", lambda: True)
    make_venv(tmp_path)
    assert install.main(["--test"]) == 0
    assert install.steps == [["install", "requirements-test.lock"]]
    assert install.main(["--test"]) == 0
    assert install.main([]) == 0, "the test lock holds the base lock"
    assert len(install.steps) == 1
    (tmp_path / install.TEST_LOCK).write_text("newer")
    assert install.main(["--test"]) == 0
    assert len(install.steps) == 2


def test_a_broken_environment_is_made_again(install, tmp_path):
    """An environment whose Python does not start, as after moving the tree, is replaced."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")
    assert not install.usable()


@pytest.mark.process
def test_a_failing_step_ends_the_installation(tmp_path):
    """The exit code of the step that failed is that of the installation, and later steps are not run."""
    script = f"import runpy; m = runpy.run_path({str(SCRIPT)!r}); m['run'](['false']); print('went on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed: false" in done.stderr


def test_uv_is_told_of_pips_mirror(install, monkeypatch):
    """An index that only pip was configured with is handed on."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.example/index")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setattr(install, "pip_setting", lambda key: "")
    assert install.environment()["UV_DEFAULT_INDEX"] == "http://mirror.example/index"


def test_tools_of_the_system_are_installed_only_where_missing(install, monkeypatch, capsys):
    """With all there nothing is run; as root the missing ones are installed; for others one line says which."""
    calls = []
    monkeypatch.setattr(install.subprocess, "call", lambda command, **more: calls.append(command) or 0)
    monkeypatch.setattr(install.shutil, "which", lambda name, path=None: name)
    install.install_tools()
    assert calls == []
    monkeypatch.setattr(install.shutil, "which", lambda name, path=None: None if name == "mkfs.xfs" else name)
    monkeypatch.setattr(install.os, "geteuid", lambda: 0)
    install.install_tools()
    assert [command[-1] for command in calls] == ["update", "xfsprogs"]
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    install.install_tools()
    assert len(calls) == 2
    assert capsys.readouterr().err.endswith("as root: apt-get install xfsprogs\n")


def test_tools_that_cannot_be_installed_stop_nothing(install, monkeypatch, capsys):
    """A machine without packages goes on; what is missing is said."""
    monkeypatch.setattr(install.shutil, "which", lambda name, path=None: name if name == "apt-get" else None)
    monkeypatch.setattr(install.os, "geteuid", lambda: 0)
    monkeypatch.setattr(install.subprocess, "call", lambda command, **more: 100)
    install.install_tools()
    assert "will be skipped: strace xfsprogs e2fsprogs" in capsys.readouterr().err


def test_a_tool_that_the_distribution_lacks_keeps_no_other_away(install, monkeypatch, capsys):
    """Where all at once is refused, each is tried alone."""
    monkeypatch.setattr(install.shutil, "which", lambda name, path=None: name if name == "apt-get" else None)
    monkeypatch.setattr(install.os, "geteuid", lambda: 0)
    monkeypatch.setattr(install.subprocess, "call", lambda command, **more: 100 if "chromium" in command else 0)
    install.install_tools()
    assert capsys.readouterr().err.endswith("not installed, so some tests will be skipped: chromium\n")
