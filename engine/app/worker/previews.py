"""Pictures on the way to a result, made in a thread beside the work: the newest one wins, the sampler never waits."""

from __future__ import annotations

import logging
from threading import Condition, Thread
from typing import get_args

import torch

from engine.app.worker.link import Link
from engine.models.preview import Method, jpeg, preview_image
from engine.models.tiny_decoders import Decoders
from engine.node.context import Preview
from engine.store.folders import Folders

_log = logging.getLogger(__name__)


class Previews:
    """Turns what nodes show on the way into pictures, by the method of the server or of the job."""

    def __init__(self, link: Link, method: Method, folders: Folders, device: torch.device) -> None:
        self._link = link
        self._default = method
        self._method = method
        self._device = device
        self._decoders = Decoders(folders, device, _log.warning)
        self._waiting: tuple[str, Preview, tuple[str, int]] | None = None
        self._change = Condition()
        self._thread: Thread | None = None

    def begin(self, method: object) -> None:
        """An attempt begins, with a method of its own or (None, `default`) the server's."""
        self._method = next((known for known in get_args(Method) if known == method), self._default)

    def end(self) -> None:
        """The attempt is over: what was not sent is of no use any more."""
        with self._change:
            self._waiting = None

    def show(self, node: str, preview: Preview) -> None:
        """Show a picture when there is time; an older one that waits is forgotten."""
        if self._method == "none":
            return
        if self._thread is None:
            self._thread = Thread(target=self._work, name="previews", daemon=True)
            self._thread.start()
        with self._change:
            self._waiting = (node, preview, self._link.attempt)
            self._change.notify()

    def _work(self) -> None:
        while True:
            with self._change:
                while self._waiting is None:
                    self._change.wait()
                (node, preview, attempt), self._waiting = self._waiting, None
            try:
                picture = self._picture(preview)
            except Exception:  # noqa: BLE001  # the border: a preview must never hurt the job
                _log.exception("a preview failed")
                continue
            if picture is not None:
                self._link.preview(node, picture, "image/jpeg", attempt)

    def _picture(self, preview: Preview) -> bytes | None:
        method = self._method
        if method == "auto" and self._device.type == "cpu":
            method = "latent2rgb"  # a tiny decoder takes seconds there, as long as a step of the sampler
        decoder = self._decoders.fitting(preview.content) if method in ("auto", "taesd") else None
        image = preview_image(preview.content, method, decoder)
        return None if image is None else jpeg(image)
