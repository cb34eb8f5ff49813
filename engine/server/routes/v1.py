"""Easel's own API under `/api/v1`: jobs, their events and files, the queue, node types, models. Errors are RFC 9457."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from engine.foundation import json
from engine.foundation.errors import EaselError
from engine.graph.spec import to_json
from engine.jobs.job import FINAL, Job, Saved, State
from engine.server import submission
from engine.server.answers import RequestError, json_answer, problem
from engine.server.bodies import json_object, texts, whole_number
from engine.server.errors import Handler
from engine.server.openapi import document
from engine.server.replay import Page
from engine.server.routes.files import file_answer
from engine.server.routes.queue import submit
from engine.server.state import state_of
from engine.server.submission import PromptError
from engine.store import media
from engine.store.confine import resolve

PAGE = 100
LONGEST_PAGE = 1_000
LONGEST_WAIT = 30
_STATES: tuple[State, ...] = ("pending", "running", *sorted(FINAL))


class MissingJobError(EaselError):
    """There is no such job."""

    code = "missing_job"


async def get_document(request: web.Request) -> web.StreamResponse:
    """The description of this API."""
    del request
    return json_answer(document())


async def post_job(request: web.Request) -> web.StreamResponse:
    """Queue a job. When this answers 201, the job is on disk."""
    state = state_of(request)
    try:
        job, node_errors = await submit(state, submission.read(await json_object(request)))
    except PromptError as error:
        more = {"error": error.error, "node_errors": error.node_errors}
        return problem(422, error.code, str(error), more)
    headers = {"Location": f"/api/v1/jobs/{job.id}"} if job.id.isascii() and job.id.isprintable() else {}
    return json_answer(_job(job) | {"node_errors": node_errors}, 201, headers)


async def get_jobs(request: web.Request) -> web.StreamResponse:
    """A page of jobs, the newest first."""
    states = [_state(name) for name in request.query.get("state", "").split(",") if name]
    limit = min(whole_number(request, "limit", least=1, default=PAGE) or PAGE, LONGEST_PAGE)
    offset = whole_number(request, "offset", default=0) or 0
    workflow = request.query.get("workflow")
    jobs, total = await state_of(request).dispatcher.look(
        lambda store: store.jobs(states=states, workflow=workflow, limit=limit, offset=offset)
    )
    return json_answer({"jobs": [_job(job) for job in jobs], "total": total, "limit": limit, "offset": offset})


async def get_job(request: web.Request) -> web.StreamResponse:
    """A job with its prompt, its attempts and its files."""
    job_id = request.match_info["id"]
    found = await state_of(request).dispatcher.look(
        lambda store: (store.find(job_id), store.attempts(job_id), store.files(job_id))
    )
    job, attempts, files = found
    if job is None:
        raise _missing(job_id)
    details = {"prompt": json.parse(job.prompt), "extra_data": json.parse(job.extra), "attempts": attempts}
    return json_answer(_job(job) | details | {"files": [_file(saved) for saved in files]})


async def cancel_job(request: web.Request) -> web.StreamResponse:
    """Cancel a job that waits or runs; one that has ended stays as it is."""
    job_id = request.match_info["id"]
    dispatcher = state_of(request).dispatcher
    if await dispatcher.cancel(job_id) is None:
        raise _missing(job_id)
    return json_answer(_job(await dispatcher.look(lambda store: store.get(job_id))), 202)


async def retry_job(request: web.Request) -> web.StreamResponse:
    """Queue a job that failed, was cancelled or quarantined once more."""
    job = await _existing(request)
    return json_answer(_job(await state_of(request).dispatcher.change(lambda store: store.retry(job.id))), 202)


async def delete_job(request: web.Request) -> web.StreamResponse:
    """Forget a job that has ended; its files stay."""
    job = await _existing(request)
    if not job.final:
        return problem(409, "job_state", f"job {job.id}: it has not ended, got {job.state}. Cancel it first.")
    await state_of(request).dispatcher.change(lambda store: store.forget([job.id]))
    return web.Response(status=204)


async def get_events(request: web.Request) -> web.StreamResponse:
    """A job's events after a number, or all of them over a socket; `wait` is for how long to wait for one."""
    after = whole_number(request, "after", default=0) or 0
    if web.WebSocketResponse().can_prepare(request).ok:
        return await _stream(request, after)
    wait = min(whole_number(request, "wait", default=0) or 0, LONGEST_WAIT)
    page = await _page(request, after)
    if wait and not page.events and not page.ended:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(state_of(request).replay.more(request.match_info["id"], after), wait)
        page = await _page(request, after)
    return json_answer({"events": page.events, "complete": page.complete, "ended": page.ended})


async def get_files(request: web.Request) -> web.StreamResponse:
    """The files that a job made."""
    job = await _existing(request)
    files = await state_of(request).dispatcher.look(lambda store: store.files(job.id))
    return json_answer({"files": [_file(saved) for saved in files]})


async def get_file(request: web.Request) -> web.StreamResponse:
    """A file that a job made, by its place in the list."""
    job = await _existing(request)
    files = await state_of(request).dispatcher.look(lambda store: store.files(job.id))
    place = request.match_info["place"]
    if not place.isdecimal() or int(place) >= len(files):
        return problem(404, "missing_file", f"job {job.id}: it made no file {place[:20]}")
    saved = files[int(place)]
    roots = {"output": state_of(request).settings.output, "temp": state_of(request).settings.temp}
    path = resolve(roots[saved.type], f"{saved.subfolder}/{saved.filename}".lstrip("/"))
    if not await asyncio.to_thread(path.is_file):
        return problem(404, "missing_file", f"{saved.filename} is no longer there")
    shown = media.inline_type(path.name)
    return file_answer(path, shown or media.BYTES, inline=shown is not None)


async def get_queue(request: web.Request) -> web.StreamResponse:
    """What runs, what waits, and whether the queue is paused."""
    (running, waiting), paused = await state_of(request).dispatcher.look(lambda store: (store.queue(), store.paused()))
    data = {"running": [_job(job) for job in running], "waiting": [_job(job) for job in waiting]}
    return json_answer({"paused": paused, **data})


async def pause(request: web.Request) -> web.StreamResponse:
    """Start no more jobs; those that run go on."""
    return await _switch(request, on=True)


async def resume(request: web.Request) -> web.StreamResponse:
    """Start jobs again."""
    return await _switch(request, on=False)


async def reorder(request: web.Request) -> web.StreamResponse:
    """Put waiting jobs into an order, in the places they hold together."""
    ids = texts(await json_object(request), "ids")
    if not ids or len(ids) > LONGEST_PAGE:
        raise RequestError("there is nothing to order", where="$.ids", expected=f"1 to {LONGEST_PAGE} job ids")
    await state_of(request).dispatcher.change(lambda store: store.reorder(ids))
    return await get_queue(request)


async def get_node_types(request: web.Request) -> web.StreamResponse:
    """Every node type."""
    specs = await state_of(request).nodes.specs()
    return json_answer({"node_types": [to_json(spec) for spec in specs.values()]})


async def get_node_type(request: web.Request) -> web.StreamResponse:
    """One node type."""
    name = request.match_info["name"]
    spec = (await state_of(request).nodes.specs()).get(name)
    if spec is None:
        return problem(404, "missing_node_type", f"there is no node type {name[:80]}")
    return json_answer(to_json(spec))


async def get_models(request: web.Request) -> web.StreamResponse:
    """The model files of a kind."""
    kind = request.match_info["kind"]
    listing = state_of(request).folders
    if kind not in listing.folders.roots:
        return problem(404, "missing_folder", f"there is no kind of model {kind[:80]}")
    return json_answer({"kind": kind, "names": list(await asyncio.to_thread(listing.list, kind))})


async def _stream(request: web.Request, after: int) -> web.StreamResponse:
    socket = web.WebSocketResponse(heartbeat=30.0, max_msg_size=2**16, compress=False)
    page = await _page(request, after)
    await socket.prepare(request)
    reader = asyncio.create_task(_until_closed(socket))
    try:
        while not socket.closed and not reader.done():
            for event in page.events:
                await socket.send_str(json.dumps(event))
                after = event["number"]
            if page.ended:
                break
            more = asyncio.create_task(state_of(request).replay.more(request.match_info["id"], after))
            await asyncio.wait({more, reader}, return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            page = await _page(request, after)
    except ConnectionError:
        pass  # the reader went away in the middle of a frame
    finally:
        reader.cancel()
        await socket.close()
    return socket


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _page(request: web.Request, after: int) -> Page:
    """The events after a number; of a job that is no longer remembered, its end as the one event."""
    job_id = request.match_info["id"]
    page = state_of(request).replay.after(job_id, after)
    if page is not None and (page.events or not page.ended):
        return page
    job = await _existing(request)
    if page is not None:
        return page
    if not job.final:
        return Page([], complete=True, ended=False)
    number = (job.attempt + 1) << 24
    events = [{"number": number, "event": "Ended", "data": {"state": job.state}}] if number > after else []
    return Page(events, complete=False, ended=True)


async def _existing(request: web.Request) -> Job:
    job_id = request.match_info["id"]
    job = await state_of(request).dispatcher.look(lambda store: store.find(job_id))
    if job is None:
        raise _missing(job_id)
    return job


async def _switch(request: web.Request, *, on: bool) -> web.StreamResponse:
    await state_of(request).dispatcher.change(lambda store: store.pause(on))
    return await get_queue(request)


def _missing(job_id: str) -> MissingJobError:
    return MissingJobError("there is no such job", where=f"job {job_id[:80]}")


def _state(name: str) -> State:
    for known in _STATES:
        if known == name:
            return known
    raise RequestError("there is no such state", where="state", got=name[:40], expected=" or ".join(_STATES))


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "priority": job.priority,
        "number": job.number,
        "attempt": job.attempt,
        "deaths": job.deaths,
        "client_id": job.client,
        "workflow_id": job.workflow,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "targets": json.parse(job.targets),
        "outputs": json.parse(job.outputs),
        "error": None if job.error is None else json.parse(job.error),
    }


def _file(saved: Saved) -> dict[str, Any]:
    names = ("node", "filename", "subfolder", "type", "size", "sha256", "media_type")
    return {name: getattr(saved, name) for name in names}


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/openapi.json", get_document),
    ("POST", "/jobs", post_job),
    ("GET", "/jobs", get_jobs),
    ("GET", "/jobs/{id}", get_job),
    ("DELETE", "/jobs/{id}", delete_job),
    ("POST", "/jobs/{id}/cancel", cancel_job),
    ("POST", "/jobs/{id}/retry", retry_job),
    ("GET", "/jobs/{id}/events", get_events),
    ("GET", "/jobs/{id}/files", get_files),
    ("GET", "/jobs/{id}/files/{place}", get_file),
    ("GET", "/queue", get_queue),
    ("POST", "/queue/pause", pause),
    ("POST", "/queue/resume", resume),
    ("POST", "/queue/order", reorder),
    ("GET", "/node_types", get_node_types),
    ("GET", "/node_types/{name}", get_node_type),
    ("GET", "/models/{kind}", get_models),
]
