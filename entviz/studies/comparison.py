"""Criteria by budgets, each measured on text that was not used to choose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from entviz.comparison.grid.contenders import canonical, timed
from entviz.progress import Progress
from entviz.studies.analysis import known_analysis
from entviz.studies.samples import TextSample
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.grid.estimate import Estimate
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.grid.texts import Split
    from entviz.models import LoadedModel
    from entviz.report import About
    from entviz.store import Run
    from entviz.tasks import Task

MOST_MEASURED = 24  # windows; more would take long and add little


def texts_key(texts: Sequence[str]) -> str:
    """A short hash of the texts measured on, empty if there are none. A run's options store it as ``measure_on``."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16] if texts else ""


@dataclass(frozen=True)
class Cut:
    """How a command splits the texts, if it differs from the pages.

    Attributes:
        measured: the text to measure on; None for the sample's windows that follow the calibration windows.
        choose: the number of calibration windows; None for the first half of the sample, or for the whole sample if
            another text is measured on.
        search: the number of calibration windows for the search; None for four times as many as for other criteria.
    """

    measured: TextSample | None = None
    choose: int | None = None
    search: int | None = None


@dataclass(frozen=True)
class Compare(TextStudy["Comparison"]):
    """Compare criteria on a text. The partial result is the comparison of the rows so far.

    Each finished part is stored, so a comparison that was stopped or killed resumes at the same point.

    Attributes:
        sample: the calibration text, whose windows the criteria choose by.
        measure_on: texts to measure on, each cut into whole windows; empty for the windows that follow the sample's
            windows in the same text. If that text has fewer than twice the requested windows, the criteria choose by
            the first half of its windows and are measured on the second half.
        task: a multiple-choice task to evaluate every prune set on as well.
        limit: the number of its items to use.
        dtype: the number type to evaluate in, or ``auto`` for the fastest on this device.
        cut: how the texts are split, if it differs from the pages. ``measure_on`` follows from it.
        unlike_pages: the differences from a page that the split causes, as pairs of a topic and a description.
    """

    criteria: tuple[str, ...]
    budgets: tuple[str, ...]
    levels: tuple[str, ...]
    seeds: int = 3
    seconds: float = 60.0
    measure_on: tuple[str, ...] = ()
    task: Task | None = None
    limit: int | None = None
    dtype: str = "float32"
    cut: Cut | None = None
    unlike_pages: tuple[tuple[str, str], ...] = ()

    kind = "comparison"
    title = "Comparison"
    result = "entviz.comparison.grid.result:Comparison"
    parts: ClassVar[Mapping[str, str]] = {
        "measurement": "entviz.analysis:Analysis",
        "choice": "entviz.criteria.ranking:Ranking",
        "cell": "entviz.comparison.grid.cell:GridCell",
    }
    page = Page("compare", "Criteria")

    def __post_init__(self) -> None:
        # Canonical, because they are part of the key.
        object.__setattr__(self, "criteria", tuple(map(canonical, self.criteria)))

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {
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

    def shell_options(self) -> dict[str, Any]:
        dtype = {} if self.dtype == "float32" else {"dtype": self.dtype}
        return dtype | dict(self.unlike_pages) | self.sample.shell_options()

    def read(self, loaded: LoadedModel) -> Split:
        from entviz.comparison.grid.texts import Split, split, windows_of

        if self.cut is not None:
            return self._read_cut(loaded, self.cut)
        length, begin = self.sample.window_length, self.sample.begin
        if self.measure_on:
            measured = windows_of(self.measure_on, loaded, length, MOST_MEASURED, begin=begin)
            return Split(self.sample.read(loaded), measured)
        whole = loaded.windows(self.sample.text, window_length=length, begin=begin)
        return split(whole, self.sample.windows, MOST_MEASURED)

    def _read_cut(self, loaded: LoadedModel, cut: Cut) -> Split:
        from entviz.comparison.grid.texts import Split, split, spread

        if cut.measured is None:
            return split(self.sample.read(loaded), cut.choose)
        measured = cut.measured.read(loaded)
        every = loaded.windows(self.sample.text, window_length=measured.length, begin=self.sample.begin)
        chosen_by, searched = spread(every, cut.choose), None
        if timed(self.criteria):
            most = min(4 * len(chosen_by), len(every))
            searched = spread(every, most if cut.search is None else cut.search)
            if searched.fingerprint == chosen_by.fingerprint:
                searched = None
        return Split(chosen_by, measured, searched)

    def settled(self, loaded: LoadedModel, windows: Split) -> Self:
        from entviz.decoder.precision import resolved

        sample = self.sample.settled(loaded, windows.calibration)
        found = replace(self, sample=sample, dtype=resolved(self.dtype, loaded.device))
        if self.cut is None:
            return found
        if (measured := self.cut.measured) is not None:
            name = measured.text if measured.ids is None else f"token ids of {measured.ids.name}"
            found = replace(found, measure_on=(name,))
        return replace(found, unlike_pages=found._unlike_pages(loaded, windows))

    def _unlike_pages(self, loaded: LoadedModel, windows: Split) -> tuple[tuple[str, str], ...]:
        """How the windows differ from those that a page would use; empty if they are the same."""
        measured = self.cut.measured if self.cut is not None else None
        if measured is not None and measured.ids is not None:
            return (("measured", f"token ids of {measured.ids.name}"),)
        if (
            self.sample.ids is not None
            or replace(self, cut=None).read(loaded).fingerprint == windows.fingerprint
        ):
            return ()
        counts = f"{len(windows.calibration)} to choose by"
        counts += f" and {len(windows.measured)} to measure on"
        if windows.searched is not None:
            counts += f", {len(windows.searched)} for the search"
        return (("windows", counts),)

    def compute(self, material: Material, progress: Progress) -> Comparison:
        from entviz.comparison.grid.grid import compare
        from entviz.comparison.grid.result import Comparison

        split, results = material.windows, material.results

        def report(done: int, total: int, partial: object = None, /) -> None:
            if isinstance(partial, Comparison) and not partial.finished and len(partial.rows):
                # A page can show it without loading the model, after a restart say.
                results.put_unfinished(self, split.fingerprint, partial)
            progress(done, total, partial)

        return compare(
            material.loaded,
            split.calibration,
            split.measured,
            self.criteria,
            self.budgets,
            **self._arguments(material, report),
        )

    def estimate(self, material: Material, progress: Progress) -> Estimate:
        """How long computing it takes here and now; what is known of it already takes nothing."""
        from entviz.comparison.grid.grid import estimate

        split = material.windows
        return estimate(
            material.loaded,
            split.calibration,
            split.measured,
            self.criteria,
            self.budgets,
            **self._arguments(material, progress),
        )

    def _arguments(self, material: Material, progress: Progress) -> dict[str, Any]:
        """What computing and estimating take besides the windows, the criteria and the budgets."""
        split = material.windows
        return {
            "searched": split.searched,
            "levels": self.levels,
            "seeds": self.seeds,
            "seconds": self.seconds,
            "task": self.task,
            "limit": self.limit,
            "begin": self.sample.begin,
            "dtype": self.dtype,
            "analysis": known_analysis(material, self.sample, split.calibration.fingerprint),
            "cache": material.states,
            "kept": material.results.parts_of(self),
            "progress": progress,
        }

    def summarize(self, result: Comparison) -> dict[str, Any]:
        from entviz.comparison.grid.verdict import verdict

        return {
            "finished": result.finished,
            "rows": len(result.rows),
            "rows_total": result.rows_total,
            "verdict": verdict(result)[:3],
        }

    @classmethod
    def found(cls, run: Run) -> str:
        return f"{run.summary.get('rows', 0)} of {run.summary.get('rows_total', 0)} prune sets measured"

    @classmethod
    def report(
        cls,
        result: Comparison,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_comparison

        return of_comparison(result, about, options)
