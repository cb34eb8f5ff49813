"""Frames on the pipes, and events as JSON."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from engine.jobs import frames
from engine.jobs.events import (
    Blocked,
    Done,
    Event,
    Failed,
    Lost,
    NodeFinished,
    NodeStarted,
    Progress,
    Started,
    Stopped,
    Warned,
    from_json,
    to_json,
)
from engine.jobs.job import Saved

FRAME = frames.pack({"is": "ready", "text": "ä\n"}, b"\x00\xff")
EVENTS: list[Event] = [
    Started(("1", "2")),
    NodeStarted("1", "Save"),
    Progress("1", 1, 2),
    NodeFinished(
        "1", {"images": [{"filename": "a"}]}, (Saved("1", "a", "", "output", 1, "00", "image/png"),), True, 0.5
    ),
    NodeFinished("1"),
    Warned("1", "text"),
    Blocked("1", "no"),
    Done(),
    Failed("oom", "no room", "OutOfMemoryError", "1", "Sampler", {"a": "b"}, "oom"),
    Stopped("1", "Sampler"),
    Lost("it died", blamed=True),
]


def received(data: bytes) -> object:
    async def whole() -> object:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await frames.receive(stream)

    return asyncio.run(whole())


def test_a_frame_is_read_as_it_was_written_from_a_stream_and_from_a_file() -> None:
    expected = ({"is": "ready", "text": "ä\n"}, b"\x00\xff")
    assert received(FRAME) == expected
    assert frames.read(io.BytesIO(FRAME)) == expected


@pytest.mark.parametrize("length", range(len(FRAME)))
def test_a_frame_that_is_cut_anywhere_is_the_end(length: int) -> None:
    assert received(FRAME[:length]) is None
    assert frames.read(io.BytesIO(FRAME[:length])) is None


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_the_way_between_processes(event: Event) -> None:
    assert from_json(json.loads(json.dumps(to_json(event)))) == event
