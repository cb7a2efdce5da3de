"""A pruned model written to disk, with the measured cost of its prune set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.errors import ExportError
from entviz.progress import Progress
from entviz.repair.choice import RepairChoice
from entviz.studies.evaluation import Evaluate
from entviz.studies.repaired_evaluation import EvaluateRepaired
from entviz.studies.samples import ModelAlone, TextSample
from entviz.studies.study import Material, Study

if TYPE_CHECKING:
    from entviz.export import Exported


@dataclass(frozen=True)
class Export(Study["Exported"]):
    """Write a pruned model. Every run writes it again; only the evaluation is stored.

    Attributes:
        sample: the model, and the text on which the prune set is measured for the model card, if there is one.
        drop: the prune set.
        format: one of ``entviz.export.FORMATS``.
        target: the directory to write.
        text_title: the title of the text.
        criterion: how the blocks were chosen, in the user's words; empty if the user did not say.
        dtype: the number type of the weights.
        replace: whether an earlier export in the directory may be replaced.
        bounded: whether the server's limit on the total size of exports applies.
        repair: which repair the files hold, and the text that it is fitted on; None for none. Where refitted
            projections need biases that the architecture cannot have, they are fitted without.
    """

    sample: TextSample | ModelAlone
    drop: PruneSet
    format: str
    target: Path
    text_title: str = ""
    criterion: str = ""
    dtype: str = "float32"
    replace: bool = False
    bounded: bool = True
    repair: RepairChoice | None = None

    kind = "export"
    title = "Export"

    @property
    def evaluation(self) -> Evaluate | None:
        """The study that evaluates the prune set. Its result may already be stored, from another page."""
        if not isinstance(self.sample, TextSample):
            return None
        if self.repair is not None:
            return EvaluateRepaired(self.sample, self.drop, self.dtype, self.repair)
        return Evaluate(self.sample, self.drop, self.dtype)

    def check(self) -> None:
        """Raise ``ExportError`` if the format cannot hold this model, or the directory may not be written."""
        from entviz.export.place import check_target
        from entviz.export.registry import FORMATS

        objection = FORMATS[self.format].objection(self.sample.model, self.drop)
        if objection is not None:
            raise ExportError(objection)
        if self.repair is not None:
            self.repair.check(self.drop, self.sample.text)
            if FORMATS[self.format].no_repair:
                raise ExportError(FORMATS[self.format].no_repair)
        check_target(self.target, replace=self.replace)

    def compute(self, material: Material, progress: Progress) -> Exported:
        from entviz.export import export
        from entviz.export.folder import room_bytes
        from entviz.repair.fitted import fitted

        study = self._as_it_can_be_held(material)
        evaluation = None if study.evaluation is None else material.answer(study.evaluation)
        repair = None
        if study.repair is not None:
            begin = not isinstance(self.sample, TextSample) or self.sample.begin
            repair = fitted(study.repair, material.loaded, self.drop, begin=begin)
        room = room_bytes() if self.bounded else None
        with material.aside():  # reading and writing files; others can compute meanwhile
            return export(
                material.loaded.in_dtype(self.dtype),
                self.drop,
                self.format,
                self.target,
                evaluation=evaluation,
                text=self.text_title,
                criterion=self.criterion.strip() or None,
                repair=repair,
                replace=self.replace,
                room_bytes=room,
                progress=progress,
            )

    def _as_it_can_be_held(self, material: Material) -> Export:
        """The same, with a repair without biases where the checkpoint cannot have those."""
        from entviz.blocks import Block
        from entviz.export.folding import WITHOUT_BIAS, needs_biases
        from entviz.export.registry import FORMATS

        form, loaded = FORMATS[self.format], material.loaded
        if self.repair is None or form.weights is None:
            return self
        kept = [i for i in range(loaded.layers) if Block("layer", i) not in self.drop]
        if not needs_biases(loaded, self.drop, self.repair.method, kept, adds_biases=form.adds_biases):
            return self
        return replace(self, repair=replace(self.repair, method=self.repair.method + WITHOUT_BIAS))
