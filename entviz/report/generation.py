"""The report of a continuation.

of_generation(generation, About("smollm2-135m", prompt, "a prompt"), {"max_new_tokens": 24})
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from entviz.report.command import About, command, repairing
from entviz.report.document import Section, document
from entviz.report.ending import ending

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation


def of_generation(
    generation: Generation,
    about: About,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    cached: bool = True,
) -> str:
    """A greedy continuation; ``about.text`` is the prompt.

    ``options`` are the stored options, and ``cached`` says whether keys and values were cached.
    """
    from entviz.figures.generation import speeds

    sections = [
        Section("Dropped", code=str(generation.drop) or "nothing: this is the dense model"),
        Section("Prompt and continuation", speeds(generation), code=generation.text),
    ]
    asked = {
        "--prompt": about.text,
        "--drop": str(generation.drop),
        "--max-new-tokens": options.get("max_new_tokens"),
        "--no-cache": not cached,
        **repairing(options),
    }
    again = command(about, "generate", asked, text=False) if about.text else ""
    subtitle = " ".join([f"{about.model_title} after {about.text_title}.", *generation.notes])
    return document("Continuation", subtitle, [*sections, *ending(about, again, "Its speed may differ.")])
