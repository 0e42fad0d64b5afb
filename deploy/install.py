"""Make `.venv` and install the locked dependencies into it: ``python3 deploy/install.py [--test]``.

Runs before anything is installed, under any python3 from 3.7 on (to say that it is too old), so it uses the standard
library only. A second run with nothing changed returns at once. What is installed is in the lock files, with hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST, NEWEST = (3, 11), (3, 13)
PACKAGES = ("trading_platform", "assets", "sensors", "quality")
BOOTSTRAP_LOCK, BASE_LOCK, TEST_LOCK = "requirements-bootstrap.lock", "requirements.lock", "requirements-test.lock"
WARM = "trading_platform/warm.py"
KERNELS = ("analytics", "jit", "ingest/decoder", "ingest/transport")  # where compiled functions lie, below the package
TOOLS = {  # program -> Debian package
    "strace": "strace",
    "mkfs.xfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "chromium": "chromium",
}
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}


def main(arguments: list[str]) -> int:
    """Bring `.venv` up to date and return the exit code."""
    version = "%d.%d" % sys.version_info[:2]
    interpreter = find_python()
    if interpreter is None:
        return refuse(f"Python 3.11, 3.12 or 3.13 is needed and python3 here is {version}: install one of them")
    if interpreter != sys.executable:
        return subprocess.call([interpreter, os.path.abspath(__file__), *arguments])
    begun = time.monotonic()
    if not usable():
        if venv_is_missing():
            return refuse(f"Python's venv is missing: apt-get install python{version}-venv")
        say(f"making .venv with Python {version}")
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", VENV])
    if "--test" in arguments:
        install_tools()
    lock = TEST_LOCK if "--test" in arguments else BASE_LOCK
    if changed(f"installed-{lock}", [BOOTSTRAP_LOCK, lock, "pyproject.toml"]):
        install(lock)
        for held in {lock, BASE_LOCK}:  # the test lock holds all of the other, in the same versions
            remember(f"installed-{held}", [BOOTSTRAP_LOCK, held, "pyproject.toml"])
        say(f"installed {lock} in {time.monotonic() - begun:.0f} s")
    if os.path.exists(os.path.join(ROOT, WARM)) and changed("warm", kernels()):
        say("filling the kernel cache")
        run([PYTHON, "-m", "trading_platform.warm"])
        remember("warm", kernels())
    if "--test" in arguments:
        unpack_database()
    return 0


def install(lock: str) -> None:
    """Install the tool that installs, then the locked packages byte-compiled, then this package in place."""
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    run([*pip, "--require-hashes", "-r", BOOTSTRAP_LOCK])
    say(f"installing {lock}")
    uv = [os.path.join(VENV, "bin", "uv"), "pip", "install", "-q", "--python", PYTHON]
    locked = ["--no-deps", "--require-hashes", "-r", lock]  # the lock is whole, and overrides one cap (pyproject.toml)
    if subprocess.call([*uv, "--compile-bytecode", *locked], cwd=ROOT, env=environment()) != 0:
        say("trying again with pip")  # it may know a mirror or a certificate that uv was not told about
        run([*pip, "--compile", *locked])
    run([*pip, "--no-deps", "--no-build-isolation", "-e", "."])
    run([PYTHON, "-m", "compileall", "-q", *PACKAGES])


def install_tools() -> None:
    """Install the system's programs that tests of faults need; without them those tests are skipped, loudly."""
    places = ["/usr/sbin", "/sbin"]  # where Debian puts them
    path = os.pathsep.join([os.environ.get("PATH", ""), *places])
    missing = [package for program, package in TOOLS.items() if shutil.which(program, path=path) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        say("some tests will be skipped; as root: apt-get install " + " ".join(missing))
        return
    say("installing " + " ".join(missing))
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]

    def failed(*words: str) -> bool:
        return subprocess.call([*apt, *words], env=quiet, stdout=subprocess.DEVNULL) != 0

    wanted = ("install", "-y", "--no-install-recommends")
    if failed("update"):
        left = missing
    elif failed(*wanted, *missing):  # one that this distribution does not have must not keep the others away
        left = [package for package in missing if failed(*wanted, package)]
    else:
        return
    if left:
        say("not installed, so some tests will be skipped: " + " ".join(left))


def unpack_database() -> None:
    """Unpack TimescaleDB for the tests, beside the system; without it those tests are skipped, loudly."""
    script = "from trading_platform.store.database.local import debian; debian.unpacked() or debian.unpack()"
    done = subprocess.run([PYTHON, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        say("no TimescaleDB, so some tests will be skipped: " + last)


def environment() -> dict[str, str]:
    """Return the environment for uv, which does not read pip's configuration, where a mirror may be named."""
    env = dict(os.environ, UV_NO_PROGRESS="1")
    env.setdefault("UV_HTTP_TIMEOUT", "120")
    env.setdefault("UV_LINK_MODE", "copy")  # linked files would share their times and fates with a cache
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip searches; safe, because every file has its hash
    for pip_key, uv_key in PIP_TO_UV.items():
        value = os.environ.get("PIP_" + pip_key.replace("-", "_").upper()) or pip_setting(pip_key)
        if value:
            env.setdefault(uv_key, " ".join(value.split()))
    return env


def pip_setting(key: str) -> str:
    """Return what pip's configuration files say, or an empty text."""
    for section in ("install", "global"):
        command = [PYTHON, "-m", "pip", "config", "get", f"{section}.{key}"]
        found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    return ""


def find_python() -> str | None:
    """Return a Python of a supported version: this one, else one on the path."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    found = (shutil.which(f"python3.{minor}") for minor in range(NEWEST[1], OLDEST[1] - 1, -1))
    return next((path for path in found if path and succeeds([path, "-c", ""])), None)


def usable() -> bool:
    """Tell whether `.venv` is there, works (it may have been moved) and has a supported Python."""
    script = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    return os.path.exists(PYTHON) and succeeds([PYTHON, "-c", script])


def venv_is_missing() -> bool:
    """Tell whether this Python came without the two modules that make an environment, as on Debian."""
    return not succeeds([sys.executable, "-c", "import venv, ensurepip"])


def succeeds(command: list[str]) -> bool:
    """Tell whether a command exits 0; what it prints is not shown."""
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def kernels() -> list[str]:
    """Return the sources whose compiled form is cached."""
    folders = (os.path.join(ROOT, "trading_platform", *place.split("/")) for place in KERNELS)
    found = (os.path.join(base, name) for place in folders for base, _, names in os.walk(place) for name in names)
    return sorted(os.path.relpath(path, ROOT) for path in found if path.endswith(".py"))


def digest(names: list[str]) -> str:
    """Return a hash over files; the times of sources count, because the kernel cache goes by them."""
    total = hashlib.sha256(f"{VENV} {sys.version}".encode())
    for name in names:
        path = os.path.join(ROOT, name)
        with open(path, "rb") as file:
            total.update(name.encode() + b"\0" + file.read())
        if name.endswith(".py"):
            total.update(str(os.stat(path).st_mtime_ns).encode())
    return total.hexdigest()


def changed(stamp: str, names: list[str]) -> bool:
    """Tell whether the files changed since `remember`."""
    try:
        with open(os.path.join(VENV, f"{stamp}.stamp")) as file:
            return file.read() != digest(names)
    except FileNotFoundError:
        return True


def remember(stamp: str, names: list[str]) -> None:
    """Note that this was done for the files as they are."""
    with open(os.path.join(VENV, f"{stamp}.stamp"), "w") as file:
        file.write(digest(names))


def run(command: list[str]) -> None:
    """Run one step; the first that fails ends the installation with its code."""
    code = subprocess.call(command, cwd=ROOT)
    if code != 0:
        say(f"failed: {' '.join(command)}")
        sys.exit(code if code > 0 else 1)


def say(text: str) -> None:
    """Tell on stderr what is being done."""
    print(f"install: {text}", file=sys.stderr, flush=True)


def refuse(text: str) -> int:
    """Say in one line what has to be changed first."""
    say(text)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
