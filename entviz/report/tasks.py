"""The report of accuracy on a multiple-choice task.

of_score(result, About("smollm2-135m", task.fingerprint, "the task grammar"), {"limit": 20})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from entviz.report.command import About, command, repairing
from entviz.report.document import Section, document
from entviz.report.ending import ending
from entviz.tasks import BUILT_IN, read_task, task_titles

if TYPE_CHECKING:
    from entviz.evaluation.tasks import TaskResult


def of_score(result: TaskResult, about: About, options: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Accuracy without the dropped blocks, and every item.

    ``about.text`` is the task's fingerprint, or the name of a task of the hub; ``options`` are the stored options.
    """
    from entviz.figures.tasks import accuracy_chart, headline, item_table

    numbers = pd.DataFrame(
        [
            ("accuracy", result.accuracy, result.standard_error),
            ("accuracy, length-normalized", result.accuracy_normalized, result.standard_error_normalized),
            ("blind guessing", result.chance, float("nan")),
        ],
        columns=["measure", "share", "standard error"],
    )
    said = f"{headline(result)} Bars are 95% intervals, items counted as independent."
    sections = [
        Section("Dropped", code=str(result.drop) or "nothing: this is the dense model"),
        Section("Accuracy", said, accuracy_chart(result), table=numbers),
        Section(
            "Items",
            "Items and their choices are counted from 0; log-likelihoods are in nats.",
            table=item_table(result),
        ),
    ]
    again = ""
    if is_known(result.task, about.text):
        asked = {
            "--task": result.task,
            "--limit": options.get("limit"),
            "--drop": str(result.drop),
            "--dtype": result.dtype,
            **repairing(options),
        }
        again = command(about, "evaluate", asked, text=False)
    subtitle = " ".join([f"{about.model_title} on {about.text_title}, in {result.dtype}.", *result.notes])
    # There is no text to show: ``about.text`` only identifies the task.
    return document("Task accuracy", subtitle, [*sections, *ending(replace(about, text=""), again)])


def is_known(name: str, fingerprint: str) -> bool:
    """Whether a command with this name reads exactly this task.

    ``fingerprint`` is the task's fingerprint, or the name itself for a task of the hub. A user's own file can have any
    name.
    """
    if name in BUILT_IN:
        return read_task(name).fingerprint == fingerprint
    return name in task_titles()
