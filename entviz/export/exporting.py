"""Exporting: check, write all files into a hidden directory, check them, and only then rename the directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from entviz.blocks import Block, PruneSet
from entviz.errors import ExportError
from entviz.export.card import model_card
from entviz.export.place import MARK, new_directory
from entviz.export.registry import FORMATS
from entviz.export.request import Exported, ExportRequest, Format, FormatOutput
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.models import LoadedModel
    from entviz.repair.repair import Repair

CARD = "README.md"


def export(
    loaded: LoadedModel,
    drop: PruneSet,
    format_name: str,
    target: Path,
    *,
    evaluation: Evaluation | None = None,
    text: str = "",
    criterion: str | None = None,
    repair: Repair | None = None,
    replace: bool = False,
    room_bytes: int | None = None,
    progress: Progress = silent,
) -> Exported:
    """Write a model without ``drop`` into the directory ``target``, with a model card and a recipe.

    Args:
        loaded: the model; it is not changed. The weights are written in its number type.
        format_name: one of :data:`entviz.export.FORMATS`.
        evaluation: the cost of the prune set in the same number type, for the card; None if it was not measured.
        text: a short description of the text of the evaluation.
        criterion: how the blocks were chosen, in a few words.
        repair: the result of :func:`entviz.repair.fit` for this prune set, which the files then hold.
        replace: whether an earlier export at ``target`` may be replaced. Nothing else is ever replaced.
        room_bytes: the largest total size of the folder that contains ``target``; None for no limit.

    Raises:
        BlockError: if the prune set does not fit the model.
        OptionError: if the repair was fitted for another prune set.
        ExportError: if the format cannot hold the prune set or its repair, the written files do not compute the same,
            or the directory cannot be written. No files are left in that case.
    """
    form = FORMATS[format_name]
    drop.check(loaded.layers)
    objection = form.objection(loaded.name, drop)
    if objection is not None:
        raise ExportError(objection)
    if evaluation is not None and evaluation.drop != drop:
        raise ExportError("The evaluation belongs to another prune set. Evaluate the one that is exported.")
    if repair is not None:
        repair.check(drop)
        if form.no_repair:
            raise ExportError(form.no_repair)
    if evaluation is not None and evaluation.repair != ("" if repair is None else repair.method):
        raise ExportError("The evaluation is of another repair. Evaluate with the one that is exported.")
    request = ExportRequest(loaded, drop, evaluation, text, criterion, repair)
    needed = request.bytes_beside + (0 if form.weights is None else form.weights(request))
    with new_directory(target, replace=replace, needed_bytes=needed, room_bytes=room_bytes) as directory:
        output = form.write(request, directory, progress)
        (directory / CARD).write_text(_card(request, form, output, target), "utf-8")
        (directory / MARK).write_bytes(request.recipe.to_bytes())
        files = {file.name: file.stat().st_size for file in sorted(directory.iterdir())}
    place = Path(target).expanduser().absolute()
    return Exported(
        format=form.name,
        directory=place,
        files=files,
        loading=_with_place(output.loading, str(place)),
        language=output.language,
        recipe=request.recipe,
        removed=_removed(request, form, output),
        zeroed=output.zeroed,
        check=output.check,
        notes=tuple(output.notes),
    )


def _card(request: ExportRequest, form: Format, output: FormatOutput, target: Path) -> str:
    # The card is copied with the directory, so it names the directory by a relative path.
    seen = FormatOutput(
        _with_place(output.loading, target.name or "."),
        output.language,
        output.check,
        output.zeroed,
        output.notes,
    )
    return model_card(request, form, seen)


def _with_place(loading: str, place: str) -> str:
    return loading.replace("{directory}", place.replace("\\", "\\\\").replace('"', '\\"'))


def _removed(request: ExportRequest, form: Format, output: FormatOutput) -> tuple[int, ...]:
    """The layers that the files lack; none if the files hold no weights, or the weights of the dense model."""
    if output.check is None or form.keeps_layers:
        return ()
    return tuple(i for i in range(request.loaded.layers) if Block("layer", i) in request.drop)
