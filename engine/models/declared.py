"""What the original's configuration files (`v2-inference-v.yaml` and kin) say about a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.models.detect import ArchitectureError
from engine.models.families import Prediction

_PREDICTIONS: dict[str, Prediction] = {"eps": "epsilon", "v": "v"}


def declared_prediction(path: Path) -> Prediction:
    """What a checkpoint predicts by its configuration; noise, if that does not say.

    Everything else in such files is seen in the checkpoint itself. Raises `ArchitectureError` for a file of another
    kind and for predictions that are not known.
    """
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArchitectureError(
            "this configuration cannot be read", where=path.name, got=str(error).splitlines()[0]
        ) from error
    for key in ("model", "params"):
        content = content.get(key) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise ArchitectureError(
            "this is no configuration of a checkpoint", where=path.name, expected="model: params: ..."
        )
    told = content.get("parameterization", "eps")
    if told not in _PREDICTIONS:
        raise ArchitectureError(
            "this parameterization is not known", where=path.name, got=str(told), expected="eps or v"
        )
    return _PREDICTIONS[told]
