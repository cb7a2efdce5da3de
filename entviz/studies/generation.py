"""A greedy continuation of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.progress import STEPS, Progress, part
from entviz.repair.choice import RepairChoice
from entviz.studies.samples import Prompt
from entviz.studies.study import Material, Page, StoredStudy
from entviz.words.phrases import shortened

if TYPE_CHECKING:
    from entviz.evaluation.generation import Generation
    from entviz.report import About
    from entviz.store import Run

_FITTING = 0.8  # the usual share of the time that fitting a repair takes


@dataclass(frozen=True)
class Generate(StoredStudy["Generation"]):
    """Continue a prompt, and time the pruned model in turn with the dense one. The partial result is the text so far.

    Attributes:
        drop: the prune set.
        max_new_tokens: the largest number of tokens to write.
        cached: whether keys and values are cached between tokens. The tokens are the same, only the speeds differ.
        repair: which repair the pruned model runs with, and the text that it is fitted on; None for none.
    """

    sample: Prompt
    drop: PruneSet
    max_new_tokens: int
    cached: bool = True
    repair: RepairChoice | None = None

    kind = "generation"
    title = "Generation"
    result = "entviz.evaluation.generation:Generation"
    numbers: ClassVar[Mapping[str, str]] = {"text": ""}
    page = Page("prune")

    @property
    def slot(self) -> str:
        of = "dense" if not self.drop else "pruned" if self.repair is None else "repaired"
        return f"{self.kind} {of}"  # one of each is wanted at a time

    def check(self) -> None:
        if self.repair is not None:
            self.repair.check(self.drop, self.sample.text)

    def options(self) -> dict[str, Any]:
        drop = {"drop": str(self.drop), "max_new_tokens": self.max_new_tokens}
        return drop | self.sample.options() | ({} if self.repair is None else self.repair.options())

    def shell_options(self) -> dict[str, Any]:
        return ({} if self.cached else {"cache": "none"}) | self.sample.shell_options()

    def compute(self, material: Material, progress: Progress) -> Generation:
        from entviz.evaluation.generation import generate
        from entviz.evaluation.speed import timed
        from entviz.repair.fitted import fitted

        repair, begun = None, 0.0
        if self.repair is not None:
            begun = _FITTING
            repair = fitted(
                self.repair,
                material.loaded,
                self.drop,
                begin=self.sample.begin,
                progress=part(progress, 0, begun),
            )
        written = (
            (1 + begun) / 2 if self.drop else 1.0
        )  # the share of the work after which the rest is timing

        def report(done: int, total: int, partial: object = None, /) -> None:
            progress(int(STEPS * (begun + (written - begun) * done / total)), STEPS, partial)

        found = generate(
            material.loaded,
            self.sample.text,
            self.drop,
            max_new_tokens=self.max_new_tokens,
            use_cache=self.cached,
            begin=self.sample.begin,
            repair=repair,
            progress=report,
        )
        return timed(
            material.loaded,
            found,
            repair=repair,
            use_cache=self.cached,
            progress=part(progress, written, 1.0),
        )

    def summarize(self, result: Generation) -> dict[str, Any]:
        return {"text": shortened(result.text, 400)}

    @classmethod
    def report(
        cls,
        result: Generation,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_generation

        cached = "cache" not in options.get("shell", {})
        return of_generation(result, about, options, cached=cached)

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"prune.prompt": text or "", "prune.new_tokens": run.options["max_new_tokens"]}
