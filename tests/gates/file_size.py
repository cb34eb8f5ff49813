"""Fails when a source file is longer than 500 lines: past that a module has more than one purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMIT = 500
SUFFIXES = {".py", ".ts", ".tsx", ".css"}


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    sizes = {name: _lines(root / name) for name in listed if Path(name).suffix in SUFFIXES and (root / name).is_file()}
    too_long = {name: count for name, count in sizes.items() if count > LIMIT}
    for name, count in sorted(too_long.items()):
        sys.stderr.write(f"{name}: {count} lines, the cap is {LIMIT}: split it by purpose\n")
    sys.stdout.write(f"file size: {len(sizes)} files, longest {max(sizes.values(), default=0)} lines\n")
    return 1 if too_long else 0


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


if __name__ == "__main__":
    sys.exit(main())
