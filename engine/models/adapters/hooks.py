"""Hooks: adapters that a prompt brings along, with strengths that may change on the way through a sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

from engine.models.adapters.applying import FileStack
from engine.models.adapters.reading import AdapterFile
from engine.tensors.values import Hook, Prompt


@dataclass(frozen=True, slots=True)
class Keyframe:
    """From the share `start` of the sampling on, strengths are multiplied by `strength`."""

    start: float
    strength: float


@dataclass(frozen=True, slots=True)
class Keyframes:
    """Keyframes in the order of their starts; what comes before the first one has its strength too."""

    socket: ClassVar[str] = "HOOK_KEYFRAMES"

    frames: tuple[Keyframe, ...] = ()

    def with_frames(self, *frames: Keyframe) -> Keyframes:
        """With more of them; of those that start together the last one added counts."""
        return Keyframes(tuple(sorted((*self.frames, *frames), key=lambda frame: frame.start)))

    def factor(self, begun: Callable[[float], bool]) -> float:
        """The strength of the last keyframe whose start has `begun`; without keyframes 1."""
        if not self.frames:
            return 1.0
        return next((frame.strength for frame in reversed(self.frames) if begun(frame.start)), self.frames[0].strength)


@dataclass(frozen=True, slots=True, eq=False)
class AdapterHook(Hook):
    """An adapter for the nets that a prompt is asked of: the UNet, and the text encoder if that is told so.

    `mark` tells hooks apart: one that was only given other keyframes has the same.
    """

    adapter: AdapterFile
    strength_model: float
    strength_clip: float
    keyframes: Keyframes = Keyframes()
    mark: object = field(default_factory=object)


@dataclass(frozen=True, slots=True, eq=False)
class Hooks:
    """Hooks on their way to a prompt, each once."""

    socket: ClassVar[str] = "HOOKS"

    hooks: tuple[AdapterHook, ...] = ()

    def joined(self, other: Hooks) -> Hooks:
        """These and the others behind them."""
        marks = {hook.mark for hook in self.hooks}
        return Hooks((*self.hooks, *(hook for hook in other.hooks if hook.mark not in marks)))

    def with_keyframes(self, keyframes: Keyframes) -> Hooks:
        """All of them with these keyframes instead of their own."""
        return Hooks(tuple(replace(hook, keyframes=keyframes) for hook in self.hooks))

    def added_to(self, prompt: Prompt) -> Prompt:
        """A prompt with these besides the hooks it has."""
        marks = {hook.mark for hook in prompt.hooks if isinstance(hook, AdapterHook)}
        return replace(prompt, hooks=(*prompt.hooks, *(hook for hook in self.hooks if hook.mark not in marks)))


def model_stack(hooks: Sequence[Hook], begun: Callable[[float], bool]) -> FileStack:
    """The adapters of the UNet where shares of the sampling have `begun`; without those of no strength."""
    stack = (
        (hook.adapter, hook.strength_model * hook.keyframes.factor(begun))
        for hook in hooks
        if isinstance(hook, AdapterHook)
    )
    return tuple((adapter, strength) for adapter, strength in stack if strength != 0)


def text_stacks(hooks: Hooks, *, scheduled: bool) -> list[tuple[float, float, FileStack]]:
    """Ranges of the sampling, each with the text encoder's adapters there.

    Unless `scheduled` there is one range, without regard to keyframes: a prompt is then encoded once.
    """
    starts = {frame.start for hook in hooks.hooks for frame in hook.keyframes.frames} if scheduled else set[float]()
    bounds = sorted({0.0, 1.0} | {start for start in starts if 0 < start < 1})
    return [
        (
            start,
            end,
            tuple(
                (hook.adapter, hook.strength_clip * (hook.keyframes.factor(start.__ge__) if scheduled else 1.0))
                for hook in hooks.hooks
            ),
        )
        for start, end in pairwise(bounds)
    ]
