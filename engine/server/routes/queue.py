"""Queueing and control: `/prompt`, `/queue`, `/interrupt`, `/free`, as the community's clients use them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from engine.foundation import json
from engine.jobs.job import Job
from engine.jobs.store import JobStore
from engine.server import submission
from engine.server.answers import empty, json_answer, text_answer
from engine.server.bodies import json_object, member, texts
from engine.server.errors import Handler
from engine.server.state import State, state_of
from engine.server.submission import PromptError, Submission

_CHECKED_ASIDE = 100  # prompts of more nodes are checked in a thread


async def post_prompt(request: web.Request) -> web.StreamResponse:
    """Queue a prompt. When this answers 200, the job is on disk."""
    state = state_of(request)
    try:
        wanted = submission.read(await json_object(request))
        job, node_errors = await submit(state, wanted)
    except PromptError as error:
        return json_answer({"error": error.error, "node_errors": error.node_errors}, 400)
    return json_answer({"prompt_id": job.id, "number": job.number, "node_errors": node_errors})


async def submit(state: State, wanted: Submission) -> tuple[Job, dict[str, Any]]:
    """Check a submission and queue it. The job, and what is wrong with outputs that will not run."""
    number = await state.numbers.take(wanted)
    specs = await state.nodes.specs()
    files = state.folders.list
    if len(wanted.prompt) > _CHECKED_ASIDE:
        checked = await asyncio.to_thread(submission.check, wanted, specs, files)
        new = await asyncio.to_thread(submission.job_of, wanted, checked, number, _now())
    else:
        checked = submission.check(wanted, specs, files)
        new = submission.job_of(wanted, checked, number, _now())
    if checked.needs_check:
        faults = await state.executor.check(new.prompt, checked.targets)
        if faults:
            raise submission.refused_by_validators(faults, wanted, specs, files)
    return await state.dispatcher.submit(new), checked.node_errors


async def get_prompt(request: web.Request) -> web.StreamResponse:
    """How many jobs wait or run."""
    state = state_of(request)
    remaining = state.broadcast.remaining
    if remaining is None:  # just after the start: none would be wrong if the process before left some
        remaining = await state.dispatcher.look(JobStore.unfinished)
    return json_answer({"exec_info": {"queue_remaining": remaining}})


async def get_queue(request: web.Request) -> web.StreamResponse:
    """The jobs that run and those that wait."""
    running, waiting = await state_of(request).dispatcher.look(lambda store: store.queue())
    parts = [",".join(map(item, jobs)) for jobs in (running, waiting)]
    return text_answer(f'{{"queue_running":[{parts[0]}],"queue_pending":[{parts[1]}]}}')


async def post_queue(request: web.Request) -> web.StreamResponse:
    """Remove waiting jobs: all (`clear`) or some (`delete`)."""
    body = await json_object(request)
    clear, chosen = member(body, "clear", bool, "true or false", default=False), texts(body, "delete")
    dispatcher = state_of(request).dispatcher
    if clear:
        await dispatcher.change(lambda store: store.remove_waiting())
    if chosen:
        await dispatcher.change(lambda store: store.remove_waiting(chosen))
    return empty()


async def post_interrupt(request: web.Request) -> web.StreamResponse:
    """Stop whatever runs, or one job if it runs."""
    body = await json_object(request)
    await state_of(request).dispatcher.interrupt(member(body, "prompt_id", str, "a text"))
    return empty()


async def post_free(request: web.Request) -> web.StreamResponse:
    """Let the workers drop their models or everything they keep."""
    body = await json_object(request)
    models = member(body, "unload_models", bool, "true or false", default=False)
    cache = member(body, "free_memory", bool, "true or false", default=False)
    if models or cache:
        await state_of(request).executor.free(models=models, cache=cache)
    return empty()


def item(job: Job) -> str:
    """A job as the queue and the history show it, as JSON text: its parts are stored as such."""
    return f"[{json.dumps(job.number)},{json.dumps(job.id)},{job.prompt},{job.extra},{job.targets}]"


def _now() -> int:
    return int(time.time() * 1000)


ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", "/prompt", post_prompt),
    ("GET", "/prompt", get_prompt),
    ("GET", "/queue", get_queue),
    ("POST", "/queue", post_queue),
    ("POST", "/interrupt", post_interrupt),
    ("POST", "/free", post_free),
]
