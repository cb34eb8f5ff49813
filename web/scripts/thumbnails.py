"""Draw the pictures of the templates browser with the demo model: `python -m web.scripts.thumbnails`, from the root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from engine.store.videos import read_video

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "web" / "src" / "panels" / "templates" / "pictures"
WIDTH, HEIGHT = 320, 160


def main() -> None:
    """One picture for each workflow that needs no other files; several results of one stand beside each other."""
    for workflow in sorted((ROOT / "workflows").glob("*.json")):
        if '"directory"' in workflow.read_text("utf-8"):  # it needs files that are not here
            continue
        with TemporaryDirectory() as folder:
            command = [sys.executable, "main.py", "run", str(workflow), "--output", folder, "--quiet"]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            pictures = _results(Path(folder))
        if pictures:
            _beside(pictures).save(TARGET / f"{workflow.stem}.webp", quality=82, method=6)


def _results(folder: Path) -> list[Image.Image]:
    """The last pictures in a folder, or four frames of its video, evenly apart."""
    pictures = [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.png"))[-4:]]
    videos = [path for path in folder.rglob("*.*") if path.suffix in (".mp4", ".webm")]
    if pictures or not videos:
        return pictures
    frames = read_video(videos[0]).frames
    return [Image.fromarray(frames[place * (len(frames) - 1) // 3]) for place in range(4)]


def _beside(pictures: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (WIDTH, HEIGHT))
    for place, picture in enumerate(pictures):
        left, right = WIDTH * place // len(pictures), WIDTH * (place + 1) // len(pictures)
        whole.paste(_cover(picture, right - left, HEIGHT), (left, 0))
    return whole


def _cover(picture: Image.Image, width: int, height: int) -> Image.Image:
    scale = max(width / picture.width, height / picture.height)
    larger = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    left, top = (larger.width - width) // 2, (larger.height - height) // 2
    return larger.crop((left, top, left + width, top + height))


if __name__ == "__main__":
    main()
