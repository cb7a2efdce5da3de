"""The kinds of work of the Compare page: a whole comparison, and two prune sets side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entviz.blocks import PruneSet
from entviz.comparison.grid.contenders import canonical
from entviz.progress import Progress
from entviz.store import Run, result_key
from entviz.workbench.keys import options_of
from entviz.workbench.tasks import Material, OnText, explored

if TYPE_CHECKING:
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.pair.pair import Angles, Contrast
    from entviz.models import LoadedModel
    from entviz.tasks import Task as ChoiceTask

MOST_MEASURED = 24  # windows; more would take long and tell little more


def texts_key(texts: Sequence[str]) -> str:
    """A short hash of texts that are measured on, empty where there are none; ``measure_on`` in a run's options."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16] if texts else ""


@dataclass(frozen=True)
class Compare(OnText):
    """Compare criteria on a text.

    Attributes:
        request: the text; its windows are what the criteria choose by.
        measure_on: texts to measure on, each cut into whole windows; empty for the windows that follow the request's
            in its own text. Where it has fewer than twice the windows asked for, the first half of those it has
            choose and the second half measure.
    """

    criteria: tuple[str, ...]
    budgets: tuple[str, ...]
    levels: tuple[str, ...]
    seeds: int = 3
    seconds: float = 60.0
    measure_on: tuple[str, ...] = ()
    task: ChoiceTask | None = None
    limit: int | None = None
    kind = "comparison"

    def __post_init__(self) -> None:
        # Canonical, since they are part of the key.
        object.__setattr__(self, "criteria", tuple(map(canonical, self.criteria)))

    def options(self) -> dict[str, Any]:
        return self.request.options() | {
            "criteria": list(self.criteria),
            "budgets": list(self.budgets),
            "levels": list(self.levels),
            "seeds": self.seeds,
            "seconds": self.seconds,
            "measure_on": texts_key(self.measure_on),
            "task": self.task.name if self.task is not None else "",
            "task_fingerprint": self.task.fingerprint if self.task is not None else "",
            "limit": self.limit,
        }

    def read(self, loaded: LoadedModel) -> Any:  # a Split, with a fingerprint as windows have it
        from entviz.comparison.grid.texts import Split, split, windows_of

        length, begin = self.request.window_length, self.request.begin
        if self.measure_on:
            measured = windows_of(self.measure_on, loaded, length, MOST_MEASURED, begin=begin)
            return Split(self.request.read(loaded), measured)
        whole = loaded.windows(self.request.text, window_length=length, begin=begin)
        return split(whole, self.request.windows, MOST_MEASURED)

    def compute(self, material: Material, progress: Progress) -> Comparison:
        from entviz.comparison.grid.grid import compare
        from entviz.comparison.grid.kept import StoredParts
        from entviz.comparison.grid.result import Comparison

        loaded, parts = material.loaded, material.windows
        key = self.partial_key(loaded.fingerprint, parts.fingerprint)

        def report(done: int, total: int, partial: object = None, /) -> None:
            if isinstance(partial, Comparison) and not partial.finished and len(partial.rows):
                # A page can show it without loading the model, after a restart say.
                material.store.remove(key)
                material.store.put(key, self.run_of(loaded, partial), partial, text=self.text)
            progress(done, total, partial)

        found = compare(
            loaded,
            parts.calibration,
            parts.measured,
            self.criteria,
            self.budgets,
            levels=self.levels,
            seeds=self.seeds,
            seconds=self.seconds,
            task=self.task,
            limit=self.limit,
            begin=self.request.begin,
            analysis=explored(material, self.request, parts.calibration.fingerprint),
            cache=material.states,
            kept=StoredParts(material.store, loaded),
            progress=report,
        )
        material.store.remove(key)
        return found

    def run_of(self, loaded: LoadedModel, comparison: Comparison) -> Run:
        """The entry of a comparison so far in the list of runs."""
        summary = self.summarize(comparison)
        return Run(self.kind, self.model, loaded.fingerprint, self.describe(), options_of(self), summary)

    def partial_key(self, fingerprint: str, tokens: str) -> str:
        """Where a comparison that is not finished is kept."""
        options = options_of(self) | {"finished": False}
        return result_key(self.kind, model=fingerprint, tokens=tokens, options=options)

    def summarize(self, result: Comparison) -> dict[str, Any]:
        from entviz.comparison.grid.verdict import verdict

        return {
            "finished": result.finished,
            "rows": len(result.rows),
            "rows_total": result.rows_total,
            "verdict": verdict(result)[:3],
        }


@dataclass(frozen=True)
class ContrastBlocks(OnText):
    """What each block costs within one prune set and within another."""

    a: PruneSet
    b: PruneSet
    kind = "contrast"

    def options(self) -> dict[str, Any]:
        return self.request.options() | {"a": str(self.a), "b": str(self.b)}

    def compute(self, material: Material, progress: Progress) -> Contrast:
        from entviz.comparison.pair.pair import contrast

        return contrast(
            material.loaded, material.windows, self.a, self.b, cache=material.states, progress=progress
        )

    def summarize(self, result: Contrast) -> dict[str, Any]:
        return {"nll_a": result.nll_a, "nll_b": result.nll_b}


@dataclass(frozen=True)
class MeasureAngles(OnText):
    """Angular distance across every run of layers."""

    kind = "angles"

    def options(self) -> dict[str, Any]:
        return self.request.options()

    def compute(self, material: Material, progress: Progress) -> Angles:
        from entviz.comparison.pair.pair import Angles
        from entviz.criteria.angular import angular_distances
        from entviz.models.notes import notes_on

        distances = angular_distances(material.loaded, material.windows, progress=progress)
        return Angles(distances, notes_on(material.loaded, material.windows))

    def summarize(self, result: Angles) -> dict[str, Any]:
        return {"runs": len(result.distances)}
