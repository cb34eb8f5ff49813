"""From a request's body to a job that may be queued: shape checked, graph bound, literals converted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar
from uuid import uuid4

from engine.compat import prompt_errors, prompt_json
from engine.foundation import json
from engine.foundation.errors import EaselError
from engine.graph.bind import bind
from engine.graph.build import build
from engine.graph.diagnostics import Diagnostic, Fault
from engine.graph.document import DocumentError
from engine.graph.graph import Graph, NodeId, TypedGraph
from engine.graph.literals import Files
from engine.graph.spec import NodeSpec
from engine.jobs.job import NewJob
from engine.server.answers import RequestError
from engine.server.bodies import member, texts

SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")
MAX_ID = 200


class PromptError(EaselError):
    """A prompt that cannot run; `error` and `node_errors` are what the community's clients are told."""

    code: ClassVar[str] = "invalid_prompt"

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> None:
        super().__init__(f"{error['message']}: {error['details']}" if error["details"] else error["message"])
        self.error = error
        self.node_errors = node_errors


@dataclass(frozen=True, slots=True)
class Submission:
    """What a body asks for. `number` is None where the server counts; `front` puts it before everything."""

    prompt: dict[str, Any]
    extra: dict[str, Any]
    client: str | None
    id: str
    number: float | None
    front: bool
    priority: int
    targets: list[str] | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A prompt that may run, at least for some outputs; `faults` are the reasons for the others.

    `prompt` is the JSON to keep, with literals converted. `needs_check` says that nodes have validators of their own.
    """

    prompt: dict[str, Any]
    targets: tuple[str, ...]
    node_errors: dict[str, Any]
    needs_check: bool


def read(body: dict[str, Any]) -> Submission:
    """The request in a body. Raises `PromptError` or `RequestError` that names the JSON path."""
    if "prompt" not in body:
        details = "The body needs a member prompt."
        raise PromptError(
            {"type": "no_prompt", "message": "No prompt provided", "details": details, "extra_info": {}}, {}
        )
    prompt = member(body, "prompt", dict, "an object with a node for each id", default=...)
    if prompt is ...:
        raise RequestError("the prompt is null", where="$.prompt", expected="an object with a node for each id")
    extra = member(body, "extra_data", dict, "an object", default={})
    client = member(body, "client_id", str, "a text", default=None)
    client = client if client is not None else member(extra, "client_id", str, "a text", default=None)
    job_id = member(body, "prompt_id", str, "a text", default="") or str(uuid4())
    if len(job_id) > MAX_ID:
        raise RequestError("the id is too long", where="$.prompt_id", expected=f"at most {MAX_ID} characters")
    number = member(body, "number", (int, float), "a number")
    if number is not None and not math.isfinite(number):
        raise RequestError("the number is not finite", where="$.number")
    front = member(body, "front", (bool, int), "true or false", default=False)
    priority = member(body, "priority", int, "a whole number", default=0)
    if not -(2**31) < priority < 2**31:
        raise RequestError("the priority is out of range", where="$.priority")
    targets = texts(body, "partial_execution_targets")
    number = None if number is None else float(number)
    return Submission(prompt, extra, client, job_id, number, bool(front), priority, targets)


def check(submission: Submission, specs: Mapping[str, NodeSpec], files: Files) -> Checked:
    """Bind the prompt. Raises `PromptError` if no output of it can run; the work grows with the prompt."""
    try:
        graph = build(prompt_json.read(submission.prompt))
    except DocumentError as error:
        raise _shape_error(error) from error
    targets = None if submission.targets is None else [NodeId(target) for target in submission.targets]
    binding = bind(graph, specs, files=files, targets=targets)
    unknown = any(fault.code == "unknown_node_type" for fault in binding.diagnostics)
    if binding.graph is None or unknown:
        raise _refused(binding.diagnostics, graph, specs, files)
    errors = prompt_errors.node_errors(binding.diagnostics, graph, specs, files)
    needs_check = any(node.spec.checked for node in binding.graph.nodes.values())
    return Checked(_converted(submission.prompt, binding.graph), binding.graph.targets, errors, needs_check)


def refused_by_validators(
    faults: Sequence[Mapping[str, Any]], submission: Submission, specs: Mapping[str, NodeSpec], files: Files
) -> PromptError:
    """The error for what the validators of nodes objected to."""
    graph = build(prompt_json.read(submission.prompt))
    found = [
        Fault("custom_validation_failed", str(fault["message"])).at(graph.nodes.get(NodeId(str(fault["node"]))))
        for fault in faults
    ]
    return _refused(found, graph, specs, files)


def job_of(submission: Submission, checked: Checked, number: float, now: int) -> NewJob:
    """The job to queue; `now` in milliseconds since 1970."""
    extra = {name: value for name, value in submission.extra.items() if name not in SECRETS}
    secrets = {name: value for name, value in submission.extra.items() if name in SECRETS}
    if submission.client is not None:
        extra["client_id"] = submission.client
    extra["create_time"] = now
    prompt = json.dumps(checked.prompt)
    return NewJob(
        id=submission.id,
        prompt=prompt,
        targets=checked.targets,
        number=number,
        digest=_digest(submission),
        extra=json.dumps(extra),
        secrets=json.dumps(secrets) if secrets else None,
        client=submission.client,
        workflow=_workflow_id(extra),
        priority=submission.priority,
    )


def _digest(submission: Submission) -> str:
    text = json.dumps([submission.prompt, submission.targets], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _converted(prompt: dict[str, Any], graph: TypedGraph) -> dict[str, Any]:
    """The prompt with the literals of its runnable nodes as they were understood (`"4"` becomes 4)."""
    result = dict(prompt)
    for node in graph.nodes.values():
        inputs = prompt[node.id]["inputs"]
        changed = {
            name: value
            for name, value in node.constants.items()
            if name in inputs and not isinstance(inputs[name], dict | list) and _differs(inputs[name], value)
        }
        if changed:
            entry = copy(prompt[node.id])
            entry["inputs"] = {**inputs, **changed}
            result[node.id] = entry
    return result


def _differs(given: Any, understood: Any) -> bool:
    return type(given) is not type(understood) or given != understood


def _shape_error(error: DocumentError) -> PromptError:
    data = {
        "type": "invalid_prompt",
        "message": error.reason,
        "details": error.path,
        "extra_info": {"path": error.path},
    }
    return PromptError(data, {})


def _refused(faults: Sequence[Diagnostic], graph: Graph, specs: Mapping[str, NodeSpec], files: Files) -> PromptError:
    sinks = [node.id for node in graph.nodes.values() if node.type in specs and specs[node.type].sink]
    error = prompt_errors.top_error(faults, sinks)
    if error["type"] in ("invalid_prompt", "prompt_no_outputs"):
        return PromptError(error, {})
    return PromptError(error, prompt_errors.node_errors(faults, graph, specs, files))


def _workflow_id(extra: Mapping[str, Any]) -> str | None:
    info = extra.get("extra_pnginfo")
    workflow = info.get("workflow") if isinstance(info, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return found if isinstance(found, str) else None
