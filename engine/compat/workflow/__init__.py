"""The editor's workflow JSON, as people save and share it, read and turned into a prompt."""

from engine.compat.workflow.convert import to_prompt
from engine.compat.workflow.document import Workflow
from engine.compat.workflow.read import is_prompt, is_workflow, read_workflow

__all__ = ["Workflow", "is_prompt", "is_workflow", "read_workflow", "to_prompt"]
