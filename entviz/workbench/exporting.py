"""The work of the Export page: measure a prune set, and write the model without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.workbench.tasks import Evaluate, Request

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.export import Exported
    from entviz.jobs import Turn
    from entviz.models import LoadedModel


@dataclass(frozen=True)
class Export:
    """A pruned model to write into the server's folder of exports.

    Attributes:
        request: the model, and the text on which the prune set is measured for the model card.
        drop: the prune set, as text.
        format: one of ``entviz.export.FORMATS``.
        folder: name of the directory within that folder.
        text: what to call the text.
        criterion: how the blocks were chosen, in the person's words; empty where they did not say.
        dtype: the number type of the weights.
        replace: whether an earlier export of that name may go.
    """

    request: Request
    drop: str
    format: str
    folder: str
    text: str
    criterion: str = ""
    dtype: str = "float32"
    replace: bool = False

    @property
    def evaluation(self) -> Evaluate:
        """What measures the prune set; known already where another page showed it."""
        return Evaluate(self.request, PruneSet.parse(self.drop), self.dtype)

    def check(self) -> None:
        """Check the folder before anything takes time. Raises ``ExportError`` where it may not be written."""
        from entviz.export.folder import place
        from entviz.export.place import check_target

        check_target(place(self.folder), replace=self.replace)

    def write(self, loaded: LoadedModel, evaluation: Evaluation, progress: Turn) -> Exported:
        """Write the files. Raises ``EntvizError`` as ``entviz.export.export`` does."""
        from entviz.export import export
        from entviz.export.folder import place, room_bytes

        room = room_bytes()
        with progress.aside():  # reading and writing files; others can compute meanwhile
            return export(
                loaded.in_dtype(self.dtype),
                evaluation.drop,
                self.format,
                place(self.folder),
                evaluation=evaluation,
                text=self.text,
                criterion=self.criterion.strip() or None,
                replace=self.replace,
                room_bytes=room,
                progress=progress,
            )
