"""The work of the Export page: measure a prune set, and write the model without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.blocks import PruneSet
from entviz.workbench.tasks import Request

if TYPE_CHECKING:
    from entviz.export import Exported
    from entviz.jobs import Turn
    from entviz.models import LoadedModel
    from entviz.pruning.states import StateCache


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

    def run(self, loaded: LoadedModel, states: StateCache, progress: Turn) -> Exported:
        """Measure and write. Raises ``EntvizError``s as ``entviz.export.export`` does."""
        from entviz.evaluation.loss import evaluate
        from entviz.export import export
        from entviz.export.folder import check_room, place
        from entviz.export.place import check_target

        target, drop = place(self.folder), PruneSet.parse(self.drop).check(loaded.layers)
        check_target(target, replace=self.replace)
        check_room(loaded.bytes)
        evaluation = evaluate(
            loaded, self.request.read(loaded), drop, dtype=self.dtype, cache=states, progress=progress
        )
        with progress.aside():  # reading and writing files; others can compute meanwhile
            return export(
                loaded.in_dtype(self.dtype),
                drop,
                self.format,
                target,
                evaluation=evaluation,
                text=self.text,
                criterion=self.criterion.strip() or None,
                replace=self.replace,
                progress=progress,
            )
