"""Two prune sets side by side: what each block costs within its set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.pair.pair import Contrast
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class ContrastBlocks(TextStudy["Contrast"]):
    """Measure what each block costs within prune set ``a`` and within prune set ``b``."""

    a: PruneSet
    b: PruneSet

    kind = "contrast"
    title = "Two prune sets"
    result = "entviz.comparison.pair.pair:Contrast"
    numbers: ClassVar[Mapping[str, str]] = {"nll_a": "loss of A", "nll_b": "loss of B"}
    page = Page("compare", "Two prune sets")

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"a": str(self.a), "b": str(self.b)}

    def compute(self, material: Material, progress: Progress) -> Contrast:
        from entviz.comparison.pair.pair import contrast

        return contrast(
            material.loaded, material.windows, self.a, self.b, cache=material.states, progress=progress
        )

    def summarize(self, result: Contrast) -> dict[str, Any]:
        return {"nll_a": result.nll_a, "nll_b": result.nll_b}

    @classmethod
    def dropped(cls, run: Run) -> str:
        return f"{run.options.get('a') or 'dense'} | {run.options.get('b') or 'dense'}"

    @classmethod
    def report(
        cls,
        result: Contrast,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_contrast

        return of_contrast(result, about, options["windows"], options["window_length"])

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"compare.set.a": run.options["a"], "compare.set.b": run.options["b"]}
