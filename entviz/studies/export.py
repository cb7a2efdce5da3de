"""A pruned model written to disk, with the measured cost of its prune set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.errors import ExportError
from entviz.progress import Progress
from entviz.studies.evaluation import Evaluate
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

    kind = "export"
    title = "Export"

    @property
    def evaluation(self) -> Evaluate | None:
        """The study that evaluates the prune set. Its result may already be stored, from another page."""
        return Evaluate(self.sample, self.drop, self.dtype) if isinstance(self.sample, TextSample) else None

    def check(self) -> None:
        """Raise ``ExportError`` if the format cannot hold this model, or the directory may not be written."""
        from entviz.export.place import check_target
        from entviz.export.registry import FORMATS

        objection = FORMATS[self.format].objection(self.sample.model, self.drop)
        if objection is not None:
            raise ExportError(objection)
        check_target(self.target, replace=self.replace)

    def compute(self, material: Material, progress: Progress) -> Exported:
        from entviz.export import export
        from entviz.export.folder import room_bytes

        evaluation = None if self.evaluation is None else material.answer(self.evaluation)
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
                replace=self.replace,
                room_bytes=room,
                progress=progress,
            )
