"""What has run: `/history` and the community's job list `/api/jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from engine.compat import wire
from engine.foundation import json
from engine.jobs.job import Job, State
from engine.server.answers import RequestError, empty, json_answer, text_answer
from engine.server.bodies import json_object, member, texts, whole_number
from engine.server.errors import Handler
from engine.server.routes.queue import item
from engine.server.state import state_of

_STATES: Mapping[str, tuple[State, ...]] = {
    "pending": ("pending",),
    "in_progress": ("running",),
    "completed": ("done",),
    "failed": ("failed", "cancelled", "quarantined"),
}
_STATUS = {state: status for status, states in _STATES.items() for state in states}
MEDIA_KINDS = {"images": "images", "gifs": "video", "video": "video", "audio": "audio"}


async def get_history(request: web.Request) -> web.StreamResponse:
    """Ended jobs, the oldest first; `max_items` alone gives the newest."""
    limit, offset = whole_number(request, "max_items", least=-1), whole_number(request, "offset", least=-1)
    limit, offset = (None if number == -1 else number for number in (limit, offset))
    jobs = await state_of(request).dispatcher.look(lambda store: store.history(limit, offset))
    return text_answer("{" + ",".join(map(_entry, jobs)) + "}")


async def get_history_of(request: web.Request) -> web.StreamResponse:
    """One ended job; an empty object if there is none of that id."""
    job = await _find(request)
    return text_answer("{" + (_entry(job) if job is not None and job.final else "") + "}")


async def post_history(request: web.Request) -> web.StreamResponse:
    """Forget ended jobs: all (`clear`) or some (`delete`)."""
    body = await json_object(request)
    clear, chosen = member(body, "clear", bool, "true or false", default=False), texts(body, "delete")
    dispatcher = state_of(request).dispatcher
    if clear:
        await dispatcher.change(lambda store: store.forget())
    if chosen:
        await dispatcher.change(lambda store: store.forget(chosen))
    return empty()


async def get_jobs(request: web.Request) -> web.StreamResponse:
    """A page of all jobs."""
    query = request.query
    try:
        chosen = [name for name in query.get("status", "").split(",") if name]
        states = [state for name in chosen for state in _one_of(name, "status", _STATES)]
        by_duration = _one_of(query.get("sort_by", "created_at"), "sort_by", _SORTS)
        descending = _one_of(query.get("sort_order", "desc"), "sort_order", {"asc": False, "desc": True})
        limit, offset = whole_number(request, "limit", least=1), whole_number(request, "offset", default=0) or 0
    except RequestError as error:
        return json_answer({"error": str(error)}, 400)
    workflow = query.get("workflow_id")
    jobs, total = await state_of(request).dispatcher.look(
        lambda store: store.jobs(
            states=states,
            workflow=workflow,
            by_duration=by_duration,
            descending=descending,
            limit=limit,
            offset=offset,
        )
    )
    has_more = offset + len(jobs) < total
    pagination = {"offset": offset, "limit": limit, "total": total, "has_more": has_more}
    return json_answer({"jobs": [summary(job) for job in jobs], "pagination": pagination})


async def get_job(request: web.Request) -> web.StreamResponse:
    """One job with its outputs and its prompt."""
    job = await _find(request)
    if job is None:
        return json_answer({"error": "Job not found"}, 404)
    workflow = {"prompt": json.parse(job.prompt), "extra_data": json.parse(job.extra)}
    more = {"outputs": json.parse(job.outputs), "execution_status": status(job), "workflow": workflow}
    return json_answer(summary(job) | more)


def summary(job: Job) -> dict[str, Any]:
    """A job as the list shows it."""
    outputs: dict[str, Any] = json.parse(job.outputs)
    data: dict[str, Any] = {
        "id": job.id,
        "status": _STATUS[job.state],
        "priority": job.number,
        "create_time": job.created,
        "outputs_count": sum(len(files) for shown in outputs.values() for files in shown.values()),
    }
    optional = {
        "execution_start_time": job.started,
        "execution_end_time": job.ended,
        "execution_error": _error(job),
        "preview_output": _first_output(outputs),
        "workflow_id": job.workflow,
    }
    return data | {name: value for name, value in optional.items() if value is not None}


def status(job: Job) -> dict[str, Any]:
    """How a job ended, as the history says it."""
    done = job.state == "done"
    return {"status_str": "success" if done else "error", "completed": done, "messages": json.parse(job.messages)}


def _entry(job: Job) -> str:
    """A job's entry in the history, as JSON text."""
    done = job.state == "done"
    ended = (
        f'{{"status_str":"{"success" if done else "error"}","completed":{json.dumps(done)},"messages":{job.messages}}}'
    )
    meta = json.dumps(wire.meta(json.parse(job.outputs)))
    parts = f'"prompt":{item(job)},"outputs":{job.outputs},"status":{ended},"meta":{meta}'
    return f"{json.dumps(job.id)}:{{{parts}}}"


def _error(job: Job) -> dict[str, Any] | None:
    messages: list[tuple[str, dict[str, Any]]] = json.parse(job.messages)
    return next((data for name, data in messages if name == "execution_error"), None)


def _first_output(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    for node, shown in outputs.items():
        for kind, files in shown.items():
            if kind in MEDIA_KINDS and files:
                return {**files[0], "nodeId": node, "mediaType": kind}
    return None


async def _find(request: web.Request) -> Job | None:
    job_id = request.match_info["id"]
    return await state_of(request).dispatcher.look(lambda store: store.find(job_id))


_SORTS = {"created_at": False, "execution_duration": True}


def _one_of(name: str, parameter: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise RequestError("a parameter has no such value", where=parameter, got=name[:40], expected=" or ".join(known))
    return known[name]


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/history", get_history),
    ("GET", "/history/{id}", get_history_of),
    ("POST", "/history", post_history),
]
API_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/jobs", get_jobs),
    ("GET", "/jobs/{id}", get_job),
]
