"""Check that written files compute the numbers that entviz measured: load them with plain transformers, and compare.

    check = compare(order, directory)                 # raises ExportError if the losses differ

Both sides are computed in float32, from the weights as rounded for writing. The same model then gives the same losses
except for the order of sums, whatever the number type of the written weights. In bfloat16, the losses of the same model
computed in two ways differ by more than many mistakes would change them. The effect of rounding in that type is
measured separately.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from entviz.blocks import PruneSet
from entviz.errors import ExportError
from entviz.evaluation.loss import evaluate
from entviz.export.request import Check, ExportRequest
from entviz.export.zeroing import probe
from entviz.models.gguf import read_gguf
from entviz.models.headers import named_weights
from entviz.models.library_errors import telling_line
from entviz.models.loaded import LoadedModel, round_weights
from entviz.models.memory import check_memory, estimate
from entviz.models.quiet import quiet
from entviz.models.regular_files import read_object
from entviz.models.transformers_calls import read_model
from entviz.progress import Progress, silent
from entviz.text.windows import Windows

if TYPE_CHECKING:
    from entviz.evaluation.loss import Evaluation
    from entviz.repair.repair import Repair

TOLERANCE: Final = 1e-4  # of the mean loss a token, in nats
_CHECKED_WINDOWS: Final = 4


def compare(
    request: ExportRequest,
    path: Path,
    drop: PruneSet | None = None,
    progress: Progress = silent,
    repair: Repair | None = None,
) -> Check:
    """Load files with plain transformers and compare losses with entviz's own run without ``drop``.

    Args:
        path: a directory of safetensors, or a GGUF file.
        drop: the prune set that is already removed in the files; the request's by default.
        repair: the repair as it was written, with numbers rounded to the type of the weights.

    Raises ``ExportError`` if the losses do not agree.
    """
    drop = request.drop if drop is None else drop
    loaded = request.loaded
    need = estimate(loaded.parameters, torch.float32.itemsize, config=loaded.model.config)
    check_memory(need, "Checking the export", "Make room, or export the prune set as a recipe")
    measured = request.evaluation if drop == request.drop else None
    windows = _windows(loaded, measured)
    # Nothing is rounded in float32, and then the repair as it was fitted is what the files should compute.
    repair = request.repair if loaded.dtype == torch.float32 else repair
    wanted, rounding = _wanted(loaded, windows, drop, measured, repair)
    written = _read_back(path, loaded.dtype).to(loaded.device).eval()
    found = []
    before = len(windows.beginning)
    for number, window in enumerate(windows.inputs):
        progress(number, len(windows.inputs))
        found.append(token_losses(written, window.unsqueeze(0).to(loaded.device))[:, before:])
    difference = float((torch.cat(found).double().cpu() - wanted).abs().mean())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"The exported model does not compute what entviz measured: computed in float32 on both sides, the losses "
            f"differ by {difference:.2g} nats a token, and at most {TOLERANCE:g} can be rounding. So it was not kept. "
            "Export the prune set as a recipe instead."
        )
    loader = "plain transformers" if path.is_dir() else "entviz"
    return Check(int(wanted.numel()), difference, TOLERANCE, rounding, loader)


def token_losses(model: Any, token_ids: Tensor) -> Tensor:
    """The loss of each token except a window's first, (windows, tokens - 1), by the model's own forward pass."""
    with torch.inference_mode():
        logits = model(input_ids=token_ids, use_cache=False).logits[:, :-1].float()
        losses = functional.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten(), reduction="none")
    return losses.reshape(token_ids.shape[0], -1)


def _windows(loaded: LoadedModel, measured: Evaluation | None) -> Windows:
    """The windows of the evaluation, or a probe if there is no evaluation."""
    if measured is not None:
        return Windows.of(measured.token_ids[:_CHECKED_WINDOWS].tolist(), measured.beginning)
    most = loaded.anatomy.most_tokens or 48
    return Windows(probe(loaded.anatomy, windows=2, tokens=min(48, most)))


def _wanted(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet,
    measured: Evaluation | None,
    repair: Repair | None,
) -> tuple[Tensor, float | None]:
    """The losses (windows, tokens - 1) that entviz computes in float32, and how much the measured losses differ.

    The second is None if the losses were measured in float32, or not at all.
    """
    losses = None
    if measured is not None and measured.dtype == str(loaded.dtype).removeprefix("torch."):
        losses = torch.tensor(measured.token_nll[:_CHECKED_WINDOWS]).double()
    if losses is not None and loaded.dtype == torch.float32:
        return losses, None
    if loaded.dtype != torch.float32:
        # A copy made only for this check: the model would keep a copy that it makes itself.
        loaded = loaded.cast("float32")
    exact = torch.tensor(evaluate(loaded, windows, drop, repair=repair).token_nll).double()
    return exact, None if losses is None else float((losses - exact).abs().mean())


def _read_back(path: Path, dtype: torch.dtype) -> Any:
    """The model in float32, with weights rounded to ``dtype``, loaded by plain transformers, or from GGUF by entviz."""
    try:
        with quiet():
            if path.is_dir():
                values = read_object(path / "config.json", path.name)
                model, info = read_model(path, named_weights(path, path.name), values, torch.float32)
                wrong = sorted({*info["missing_keys"], *info["unexpected_keys"]})
                if wrong:
                    raise ValueError(f"it lacks or has too many weights, such as {wrong[0]}")
            else:
                model, _ = read_gguf(path)
    except Exception as error:  # whatever makes the loader fail, nobody else could load the export either
        raise ExportError(
            f"The exported model cannot be loaded ({telling_line(error)}), so it was not kept. Export the prune set "
            "as a recipe instead."
        ) from error
    if not path.is_dir():  # a GGUF file may hold quantized weights, which loading them rounds
        round_weights(model, dtype)
    return model
