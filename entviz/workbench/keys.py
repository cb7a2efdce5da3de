"""Under which keys a task's result is kept and found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entviz.store import request_key, result_key
from entviz.workbench.identity import model_identity

if TYPE_CHECKING:
    from entviz.models import LoadedModel
    from entviz.workbench.tasks import Task


def options_of(task: Task[Any]) -> dict[str, Any]:
    """All that a task's result depends on besides what goes through the model, as plain data."""
    return task.options() | {"model": task.model}


def asked_key(task: Task[Any]) -> tuple[str, str | None]:
    """The key under which a result is found without its model, and the model's identity where it is on this machine."""
    identity = model_identity(task.model)
    key = request_key(task.kind, model=identity or "unknown", text=task.text, options=options_of(task))
    return key, identity


def kept_key(task: Task[Any], loaded: LoadedModel, tokens: str) -> str:
    """The key under which a result is kept. ``tokens`` is the fingerprint of what goes through the model."""
    return result_key(task.kind, model=loaded.fingerprint, tokens=tokens, options=options_of(task))
