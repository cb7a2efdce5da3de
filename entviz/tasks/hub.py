"""The paper's tasks, from the Hugging Face hub.

    HUB_TASKS["piqa"].read()        # a Task; downloaded once, and kept as JSONL in the cache directory

The hub keeps a Parquet copy of every public data set on a separate branch, and only that is read: no code of a data set
is ever run, and only the scored part is downloaded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entviz.cache_directory import cache_directory
from entviz.errors import TextError
from entviz.tasks import formats
from entviz.tasks.items import Item, Task
from entviz.tasks.jsonl import parse_jsonl, to_jsonl


@dataclass(frozen=True)
class HubTask:
    """A task on the hub, and how its rows become items.

    Attributes:
        name: its name in entviz.
        title: its authors' name for it.
        repository: the data set's id on the hub.
        folder: where its Parquet files are, as ``configuration/split``: the part that lm-evaluation-harness scores.
        item: makes an item from a row.
        source: the paper that published it.
        root: the location of repositories: the hub, or a directory with copies of them.
    """

    name: str
    title: str
    repository: str
    folder: str
    item: Callable[[Mapping[str, Any]], Item]
    source: str
    root: str = "hf://datasets"

    def read(self) -> Task:
        """Return the task, from the cache directory if it was read before.

        Raises:
            TextError: if the hub cannot be reached, or the data set has changed its form.
        """
        kept = cache_directory() / "tasks" / f"{self.name}.jsonl"
        try:
            return parse_jsonl(kept.read_bytes(), kept.name)
        except (OSError, TextError):  # missing or damaged
            task = self.download()
            _keep(kept, to_jsonl(task))
            return task

    def download(self) -> Task:
        """Fetch the task from the hub; raises the errors of :meth:`read`."""
        rows = self._rows()
        try:
            return Task(self.name, tuple(self.item(row) for row in rows))
        except (KeyError, IndexError, TypeError, ValueError, TextError) as error:
            raise TextError(
                f"The data set {self.repository} no longer has the form that the task {self.name} expects "
                f"({type(error).__name__}: {error}). Update entviz, or give the items as a JSONL file."
            ) from error

    def _rows(self) -> Any:
        import datasets

        branch = "@refs/convert/parquet" if self.root.startswith("hf://") else ""
        files = f"{self.root}/{self.repository}{branch}/{self.folder}/*.parquet"
        bars = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset("parquet", data_files={"items": files}, split="items")
        except Exception as error:  # networks, servers and disks fail in many ways
            raise TextError(
                f"The task {self.name} could not be fetched from {self.repository} on the Hugging Face hub "
                f"({_first_line(error)}). Connect to the internet and try again, or choose a built-in task."
            ) from error
        finally:
            if not bars:
                datasets.enable_progress_bars()


def _keep(path: Path, text: str) -> None:
    """Write a file completely or not at all; if the cache cannot be written, the error is ignored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError:
        pass


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


HUB_TASKS: dict[str, HubTask] = {
    task.name: task
    for task in (
        HubTask("piqa", "PIQA", "baber/piqa", "default/validation", formats.piqa, "Bisk et al. 2020"),
        HubTask(
            "hellaswag",
            "HellaSwag",
            "Rowan/hellaswag",
            "default/validation",
            formats.hellaswag,
            "Zellers et al. 2019",
        ),
        HubTask(
            "winogrande",
            "WinoGrande",
            "allenai/winogrande",
            "winogrande_xl/validation",
            formats.winogrande,
            "Sakaguchi et al. 2020",
        ),
        HubTask("arc-easy", "ARC-easy", "allenai/ai2_arc", "ARC-Easy/test", formats.arc, "Clark et al. 2018"),
        HubTask(
            "arc-challenge",
            "ARC-challenge",
            "allenai/ai2_arc",
            "ARC-Challenge/test",
            formats.arc,
            "Clark et al. 2018",
        ),
        HubTask(
            "openbookqa",
            "OpenBookQA",
            "allenai/openbookqa",
            "main/test",
            formats.openbookqa,
            "Mihaylov et al. 2018",
        ),
        HubTask(
            "commonsenseqa",
            "CommonsenseQA",
            "tau/commonsense_qa",
            "default/validation",
            formats.commonsenseqa,
            "Talmor et al. 2019",
        ),
        HubTask("race", "RACE (high)", "EleutherAI/race", "high/test", formats.race, "Lai et al. 2017"),
        HubTask("mmlu", "MMLU", "cais/mmlu", "all/test", formats.mmlu, "Hendrycks et al. 2021"),
    )
}
