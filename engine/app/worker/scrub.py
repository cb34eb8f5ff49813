"""Texts for the outside: without the places of this machine's folders, and without secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine.foundation.settings import Settings

_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Scrub:
    """Replaces texts by what may be shown in their place, in order."""

    replacements: tuple[tuple[str, str], ...]

    def __call__(self, text: str) -> str:
        for found, shown in self.replacements:
            text = text.replace(found, shown)
        return text

    def hiding(self, secrets: str | None) -> Scrub:
        """This one, with the values of `secrets` (a JSON object) replaced by asterisks too."""
        values = [str(value) for value in json.loads(secrets).values()] if secrets else []
        hidden = tuple((value, "***") for value in values if len(value) >= _SHORTEST_SECRET)
        return Scrub((*hidden, *self.replacements))


def scrub_of(settings: Settings) -> Scrub:
    """Replaces the folders of this machine by their names."""
    places = {"output": settings.output, "input": settings.input, "temp": settings.temp, "user": settings.user}
    places |= {f"models{number}": path for number, path in enumerate(settings.extra_model_paths)}
    texts = {str(path): name for name, path in places.items()}
    texts |= {str(settings.base): ".", str(Path(__file__).resolve().parents[3]): ".", str(Path.home()): "~"}
    longest_first = sorted(texts.items(), key=lambda item: -len(item[0]))
    return Scrub(tuple((text, name) for text, name in longest_first if len(text) > 1))
