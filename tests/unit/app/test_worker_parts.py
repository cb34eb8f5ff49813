"""The parts of the worker process: its pipe, what it tells, what it hides, its previews."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from engine.app.worker.link import Link
from engine.app.worker.previews import Previews
from engine.app.worker.report import Report, output_of
from engine.app.worker.scrub import scrub_of
from engine.app.worker.work import Worker
from engine.foundation.settings import settings_under
from engine.jobs import events as told
from engine.jobs import frames
from engine.node.context import Preview, Progress, Sent, Warned
from engine.runtime import events
from engine.store.artifacts import Artifact
from engine.store.folders import folders


class Pipe(io.RawIOBase):
    """A file that takes a few bytes at a time, as a full pipe does."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data[:7])
        self.data += taken
        return len(taken)

    def frames(self) -> list[tuple[dict[str, Any], bytes]]:
        file, found = io.BytesIO(self.data), []
        while (frame := frames.read(file)) is not None:
            found.append(frame)
        return found


def link_to(pipe: Pipe) -> Link:
    link = Link(cast(Any, pipe))
    link.begin("job", 3)
    return link


def test_an_end_takes_everything_before_it_along_and_keeps_the_order() -> None:
    pipe = Pipe()
    link = link_to(pipe)
    sent = [told.NodeStarted("1", "A"), told.NodeFinished("1"), told.NodeStarted("2", "B"), told.Done()]
    for event in sent:
        link.tell(event)
    heads = [head for head, _ in pipe.frames()]
    assert {(head["is"], head["job"], head["attempt"]) for head in heads} == {("events", "job", 3)}
    assert [told.from_json(data) for head in heads for data in head["events"]] == sent


def test_progress_that_nobody_saw_gives_way_to_later_progress_of_its_node() -> None:
    pipe = Pipe()
    link = link_to(pipe)
    link._flushed = float("inf")  # as if something had just been sent
    for event in (*(told.Progress("1", step, 9) for step in range(10)), told.Progress("2", 1, 1), told.Done()):
        link.tell(event)
    [(head, _)] = pipe.frames()
    assert [told.from_json(data) for data in head["events"]] == [
        *(told.Progress("1", 9, 9), told.Progress("2", 1, 1), told.Done()),
    ]


def test_frames_of_many_threads_stay_whole() -> None:
    pipe = Pipe()
    link = link_to(pipe)
    threads = [
        threading.Thread(target=lambda: [link.preview("1", b"x" * 100, "image/jpeg", ("job", 3)) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(body) for _, body in pipe.frames()] == [100] * 80


ARTIFACT = Artifact(Path("/x/a.png"), "a.png", "sub", "output", 3, "00", "image/png")


def report_of(*seen: events.Event, show: Callable[..., None] = lambda *_: None) -> tuple[list[told.Event], Report]:
    node = SimpleNamespace(id="1", spec=SimpleNamespace(id="Save"))
    heard: list[told.Event] = []
    report = Report(cast(Any, SimpleNamespace(nodes={"1": node})), heard.append, show, lambda text: text.upper())
    for event in seen:
        report(event)
    return heard, report


def test_a_node_is_told_once_with_what_it_made() -> None:
    node: Any = "1"
    started = events.NodeStarted(node)
    heard, _ = report_of(started, started, events.NodeFinished(node, (ARTIFACT,), False))
    assert [type(event) for event in heard] == [told.NodeStarted, told.NodeFinished]
    assert isinstance(heard[1], told.NodeFinished)
    assert heard[1].output == {"images": [{"filename": "a.png", "subfolder": "sub", "type": "output"}]}
    assert heard[1].files[0].sha256 == "00"


def test_notes_become_progress_warnings_and_pictures() -> None:
    node: Any = "1"
    shown: list[Any] = []
    preview = Preview(torch.zeros(1))  # type: ignore[arg-type]
    notes = [events.NodeNote(node, note) for note in (Progress(1, 2), Warned("careful"), preview)]
    heard, _ = report_of(*notes, show=lambda *args: shown.append(args))
    assert heard == [told.Progress("1", 1, 2), told.Warned("1", "CAREFUL")]
    assert shown == [("1", preview)]


def test_finished_pictures_go_out_after_what_was_told_before() -> None:
    pipe = Pipe()
    link = link_to(pipe)
    link._flushed = float("inf")  # as if something had just been sent
    link.tell(told.NodeStarted("1", "SaveImageWebsocket"))
    link.picture("1", b"PNG", "image/png")
    assert [(head["is"], body) for head, body in pipe.frames()] == [("events", b""), ("preview", b"PNG")]
    node: Any = "1"
    sent: list[Any] = []
    spec = SimpleNamespace(id=node, spec=SimpleNamespace(id="Send"))
    graph = cast(Any, SimpleNamespace(nodes={"1": spec}))
    report = Report(graph, lambda _: None, lambda *_: None, str, lambda *args: sent.append(args))
    report(events.NodeNote(node, Sent(b"PNG", "image/png")))
    assert sent == [("1", b"PNG", "image/png")]


@pytest.mark.parametrize(("exception", "kind"), [("OutOfMemoryError", "oom"), ("ValueError", "user")])
def test_a_failure_is_kept_clean_and_by_kind(exception: str, kind: str) -> None:
    node: Any = "1"
    _, report = report_of(events.NodeFailed(node, "Save", exception, "no", {"a": "b"}))
    assert report.failure == told.Failed(cast(Any, kind), "NO", exception, "1", "Save", {"a": "B"})


def test_files_are_shown_by_what_they_are() -> None:
    latent = replace(ARTIFACT, filename="l.latent", media_type="application/octet-stream")
    assert output_of([]) is None
    shown = output_of([ARTIFACT, latent])
    assert shown is not None
    assert {kind: len(files) for kind, files in shown.items()} == {"images": 1, "latents": 1}


def test_folders_and_secrets_are_hidden_the_longest_first(tmp_path: Path) -> None:
    settings = replace(settings_under(tmp_path), extra_model_paths=(tmp_path / "more" / "models",))
    scrub = scrub_of(settings).hiding('{"api_key_comfy_org": "hunter2", "short": "ab"}')
    text = f"{tmp_path}/output/a {tmp_path}/x {tmp_path}/more/models/m hunter2 ab {Path.home()}/y"
    assert scrub(text) == "output/a ./x models0/m *** ab ~/y"
    assert scrub_of(settings).hiding(None)("plain") == "plain"


def previews_with(pipe: Pipe, picture: Callable[[Preview], bytes | None], tmp_path: Path) -> Previews:
    around = folders(settings_under(tmp_path))
    previews = Previews(link_to(pipe), "latent2rgb", around, torch.device("cpu"))
    previews._picture = picture  # type: ignore[method-assign]
    return previews


def test_the_newest_picture_wins_and_the_sampler_never_waits(tmp_path: Path) -> None:
    begun, go, pipe, seen = threading.Event(), threading.Event(), Pipe(), list[Any]()

    def slow(preview: Preview) -> bytes:
        seen.append(preview.content)
        begun.set()
        go.wait(30)
        return b"jpeg"

    previews = previews_with(pipe, slow, tmp_path)
    previews.show("1", Preview(cast(Any, 0)))
    assert begun.wait(30)
    for content in (1, 2, 3):
        previews.show("1", Preview(cast(Any, content)))
    begun.clear()
    go.set()
    assert begun.wait(30)
    assert seen == [0, 3]


def test_without_a_method_nothing_is_made_and_a_job_may_choose_its_own(tmp_path: Path) -> None:
    made = threading.Event()
    previews = previews_with(Pipe(), lambda preview: made.set() or b"x", tmp_path)
    previews.begin("none")
    previews.show("1", Preview(cast(Any, 0)))
    assert previews._thread is None
    previews.begin("nonsense")
    assert previews._method == "latent2rgb"
    previews.show("1", Preview(cast(Any, 0)))
    assert made.wait(30)


def test_a_preview_that_fails_hurts_nobody(tmp_path: Path) -> None:
    made, calls = threading.Event(), list[int]()

    def picture(preview: Preview) -> bytes | None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no picture")
        made.set()
        return None

    previews = previews_with(Pipe(), picture, tmp_path)
    previews.show("1", Preview(cast(Any, 0)))
    while not calls:
        threading.Event().wait(0.01)
    previews.show("1", Preview(cast(Any, 1)))
    assert made.wait(30)


def test_notes_are_about_the_node_that_runs() -> None:
    heard: list[told.Event] = []
    node = SimpleNamespace(id="1", spec=SimpleNamespace(id="KSampler"))
    report = Report(cast(Any, SimpleNamespace(nodes={"1": node})), heard.append, lambda *_: None, str.upper)
    report.note("nobody runs")
    report(events.NodeStarted(cast(Any, "1")))
    report.note("done again")
    assert heard[1:] == [told.Warned("1", "DONE AGAIN")]


def test_a_worker_tells_the_books_of_its_device(tmp_path: Path) -> None:
    settings = replace(settings_under(tmp_path), device="simulated", vram_budget=2**20, reserve_vram=2**10)
    worker = Worker(settings, "none", link_to(Pipe()))
    worker._loaded.set()
    device = worker._around.hardware
    assert device is not None
    there = device.upload(torch.zeros(2**16))
    figures = worker.memory()
    assert (figures["device_total"], figures["device_free"]) == (2**20, 2**20 - there.nbytes)
    assert (figures["torch_total"], figures["torch_free"]) == (there.nbytes, 0)
    assert {f"host_{use}" for use in ("results", "weights", "mapped", "pinned", "free")} <= figures.keys()
    assert figures["ledger_limit"] == 2**20 - 2**10
    assert {f"ledger_{use}" for use in ("weights", "staging", "activations", "outputs")} <= figures.keys()
    plain = Worker(replace(settings, device="cpu"), "none", link_to(Pipe())).memory()
    assert not any(name.startswith("ledger") for name in plain)
    assert 0 < plain["device_free"] < plain["device_total"]
    assert "torch_total" not in plain
