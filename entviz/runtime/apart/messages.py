"""What the server and the process that computes say to each other. All of it is plain data.

A request begins with ``Begin`` and ends with ``Ended``. Between them the child asks (``Report``, ``StepAside``,
``StepBack``, ``CallStore``) and waits, and the server gives one ``Answer`` to each question, at once or once the turn
is there again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entviz.errors import EntvizError
from entviz.runtime.requests import Request

CONTROL = 0  # the number of messages that belong to no request


@dataclass(frozen=True)
class Begin:
    """Compute a request."""

    request: Request[Any]


@dataclass(frozen=True)
class FreeMemory:
    """Free the memory that nothing needs now."""


@dataclass(frozen=True)
class Answer:
    """The answer to a question: a value, or an error that ends the work. ``Cancelled`` is one."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Report:
    """A report of progress. Its answer comes once the request may go on."""

    done: int
    total: int
    partial: object = None


@dataclass(frozen=True)
class StepAside:
    """Others may compute from now on, until ``StepBack``."""


@dataclass(frozen=True)
class StepBack:
    """The work needs the device again. The answer comes once it has it."""


@dataclass(frozen=True)
class CallStore:
    """Call a method of the server's store, one of :class:`entviz.store.keeping.Keeping`."""

    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """The end of a request.

    Attributes:
        result: its result; None if it ``is_kept``.
        is_kept: whether its result is the one that was last read from the store or put into it, which the server has.
        error: why there is none; None if there is one.
        held: the models in the child's memory, by name, with the identities of their files.
    """

    result: Any = None
    is_kept: bool = False
    error: EntvizError | None = None
    held: Mapping[str, str | None] = field(default_factory=dict)
