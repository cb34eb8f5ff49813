"""Texts for the outside: without the places of this machine's folders, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

from engine.foundation.settings import Settings

_SHORTEST_SECRET = 4


class Scrub:
    """Replaces known folders by their names, and the values of `secrets` (JSON) by asterisks."""

    def __init__(self, settings: Settings, secrets: str | None) -> None:
        places = {"output": settings.output, "input": settings.input, "temp": settings.temp, "user": settings.user}
        places |= {f"models{number}": path for number, path in enumerate(settings.extra_model_paths)}
        texts = {str(path): name for name, path in places.items()}
        texts |= {str(settings.base): ".", str(Path(__file__).resolve().parents[3]): ".", str(Path.home()): "~"}
        longest_first = sorted(texts.items(), key=lambda item: -len(item[0]))
        hidden = [(value, "***") for value in _values(secrets) if len(value) >= _SHORTEST_SECRET]
        self._replacements = [*hidden, *((text, name) for text, name in longest_first if len(text) > 1)]

    def __call__(self, text: str) -> str:
        for found, shown in self._replacements:
            text = text.replace(found, shown)
        return text


def _values(secrets: str | None) -> list[str]:
    return [str(value) for value in json.loads(secrets).values()] if secrets else []
