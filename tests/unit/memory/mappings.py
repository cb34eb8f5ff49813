"""What this process has in memory of a file that it has mapped (Linux)."""

from __future__ import annotations

import re
from pathlib import Path


def resident(path: Path) -> int:
    """Bytes of the mappings of the file at `path` whose pages this process has touched."""
    regions = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    found = [re.search(r"^Rss: +(\d+) kB", region, re.MULTILINE) for region in regions]
    return sum(int(match[1]) * 1024 for match in found if match)
