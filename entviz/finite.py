"""Numbers that are not finite are not results: find their cause and report it.

    check(nll, loaded, token_ids, drop)          # raises ModelError unless all of nll is finite

The checked values are few and already reduced: an entropy for each window, a loss for each position. Only if one of
them is not finite, the cause is searched: the weights are checked, and the text is run again block by block, in this
number type and in wider ones. The cause is either weights that are not finite or a number type that overflows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.offloading import read, running_device
from entviz.errors import EntvizError, ModelError
from entviz.words.phrases import counted, some

log = logging.getLogger(__name__)

# The number types with a wider range than each number type, the most accurate first.
_WIDER = {"float16": ("float32", "bfloat16"), "bfloat16": ("float32",)}
_POSITIONS = 64  # positions whose logits are computed together
_MOST_NAMES = 4  # dropped blocks that a sentence names


class Loaded(Protocol):
    """The part of a model that is needed here. :class:`entviz.models.loaded.LoadedModel`, which imports this module,
    provides it.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> Any: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def anatomy(self) -> Anatomy: ...
    @property
    def original(self) -> Loaded | None: ...
    def from_widest(self, dtype: str) -> Loaded: ...


class Repaired(Protocol):
    """The part of a repair that is needed here, which :class:`entviz.repair.repair.Repair` provides."""

    @property
    def method(self) -> str: ...
    def on(self, anatomy: Anatomy) -> Anatomy: ...


def all_finite(values: Tensor | np.ndarray | Sequence[float]) -> bool:
    """Whether all values are finite."""
    if isinstance(values, Tensor):
        return bool(values.isfinite().all())
    if isinstance(values, np.ndarray):
        return bool(np.isfinite(values).all())
    return all(map(math.isfinite, values))


def check(
    values: Tensor | np.ndarray | Sequence[float],
    loaded: Loaded,
    token_ids: Tensor,
    drop: PruneSet | None = None,
    repair: Repaired | None = None,
) -> None:
    """Raise ``ModelError`` with the cause unless all ``values`` are finite.

    Args:
        values: the results for ``token_ids`` (windows, tokens), one or more numbers for each window.
        loaded: the model, in the number type in which it ran.
        drop: the blocks that were dropped.
        repair: what the model without them ran with.
    """
    if not all_finite(values):
        raise cause(loaded, token_ids, drop, repair)


def cause(
    loaded: Loaded, token_ids: Tensor, drop: PruneSet | None = None, repair: Repaired | None = None
) -> ModelError:
    """The error that explains why numbers of ``loaded`` without ``drop`` on ``token_ids`` (windows, tokens) are not
    finite.
    """
    drop = PruneSet() if drop is None else drop

    def begins(model: Loaded) -> str | None:
        return _begins(model.anatomy if repair is None else repair.on(model.anatomy), token_ids, drop)

    return _cause(loaded, drop, begins, f", repaired by {repair.method}," if repair is not None else "")


def cause_at_examination(loaded: Loaded) -> ModelError | None:
    """The error for a model that could not be split because its numbers are not finite; None if they are finite.

    Its layers cannot be run one by one yet, so this takes the hidden states from the model itself.
    """
    token_ids = (torch.arange(7) * 37 + 11).remainder(loaded.vocabulary_size).unsqueeze(0)

    def begins(model: Loaded) -> str | None:
        with torch.inference_mode():
            output = model.model(token_ids.to(model.device), output_hidden_states=True, use_cache=False)
        for depth, hidden in enumerate(output.hidden_states):
            if not all_finite(hidden):
                return "the embedding" if depth == 0 else f"layer {depth - 1}"
        return None if all_finite(output.logits.float().logsumexp(-1)) else "the logits"

    try:
        if next(_not_finite(loaded.model), None) is None and begins(loaded) is None:
            return None
        return _cause(loaded, PruneSet(), begins)
    except Exception as error:  # noqa: BLE001  the caller has an error of its own to raise; this only looks for a better
        log.debug("Whether numbers are finite could not be told: %s", error)
        return None


# --- looking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bad:
    """A weight tensor with values that are not finite."""

    name: str
    count: int
    infinite: bool  # all of these values are infinite and none is NaN


def _not_finite(model: Any) -> Iterator[_Bad]:
    """The weights that are not finite, in the model's order."""
    for name, kept in model.named_parameters():
        weight = read(model, name) if kept.is_meta else kept
        if weight.is_floating_point() and not all_finite(weight):
            count = int((~weight.isfinite()).sum())
            yield _Bad(name, count, infinite=not bool(weight.isnan().any()))


def _begins(anatomy: Anatomy, token_ids: Tensor, drop: PruneSet) -> str | None:
    """The first part of the model whose output is not finite; None if all outputs are finite."""
    with torch.inference_mode():
        for window in token_ids.to(running_device(anatomy.model.get_input_embeddings())).split(1):
            found = _begins_in(anatomy, window, drop)
            if found is not None:
                return found
    return None


def _begins_in(anatomy: Anatomy, window: Tensor, drop: PruneSet) -> str | None:
    hidden, calls = anatomy.begin(window)
    if not all_finite(hidden):
        return "the embedding"
    for i, (step, call) in enumerate(zip(anatomy.split_layers, calls, strict=True)):
        attention, mlp = i not in drop.attention, i not in drop.mlp
        middle, hidden = step.trace(hidden, call, attention=attention, mlp=mlp)
        if attention and not all_finite(middle):
            return f"the attention of layer {i}"
        if not all_finite(hidden):
            return f"the {'MLP' if mlp else 'attention'} of layer {i}"
    normed = anatomy.head.normed(hidden[0])
    for part in normed.split(_POSITIONS):
        # A token that may never come has a logit of minus infinity, which leaves the sum finite.
        if not all_finite(anatomy.head.unembed(part).float().logsumexp(-1)):
            return "the logits"
    return None


def _in_type(loaded: Loaded, dtype: str) -> Loaded | None:
    """The model in another number type; None if there is no memory for it."""
    try:
        return loaded.from_widest(dtype)
    except (EntvizError, MemoryError, torch.OutOfMemoryError):
        return None


# --- saying --------------------------------------------------------------------------------------------------------


def _cause(
    loaded: Loaded, drop: PruneSet, begins: Callable[[Loaded], str | None], repaired: str = ""
) -> ModelError:
    dtype = _name(loaded)
    bad = list(_not_finite(loaded.model))
    if bad and loaded.original is not None and _name(loaded.original) in _WIDER:
        return _cause(loaded.original, drop, begins, repaired)  # the values in the copy were already infinite
    # A number type with a narrow range makes infinities of numbers, and never a NaN.
    if bad and (dtype == "float32" or not all(one.infinite for one in bad)):
        return _of_weights(loaded, bad)
    where = begins(loaded)
    works: list[str] = []
    untried: list[str] = []
    for other in _WIDER.get(dtype, ()):
        model = _in_type(loaded, other)
        if model is None:
            untried.append(other)
            continue
        if wrong := list(_not_finite(model.model)):
            return _of_weights(loaded, wrong)
        if begins(model) is None:
            works.append(other)
    subject = loaded.name + (f" without {_few(drop)}" if drop else "") + repaired
    if bad:
        said = f"{subject} overflows in {dtype}: {_values(bad)} infinite in it. "
    elif where is not None:
        said = f"{subject} overflows in {dtype}: its numbers are not finite from {where} on. "
    else:
        said = f"{subject} gives numbers that are not finite in {dtype}. "
    if works:
        return ModelError(f"{said}Use {' or '.join(works)}, in which they are finite.")
    if untried:
        return ModelError(
            f"{said}Try {' or '.join(untried)} when more memory is free; now there is not enough."
        )
    if drop:
        return ModelError(f"{said}Choose another prune set{' or repair' if repaired else ''}.")
    return ModelError(
        f"{said}No number type with a larger range is left, and all its weights are finite, so its weights or its "
        "config.json are damaged. Download or save the model again."
    )


def _of_weights(loaded: Loaded, bad: Sequence[_Bad]) -> ModelError:
    return ModelError(
        f"{loaded.name} has weights that are not finite: {_values(bad)} NaN or infinite, so its results are not "
        "numbers. Download or save the model again, or take an earlier checkpoint of its training."
    )


def _values(bad: Sequence[_Bad]) -> str:
    count, others = bad[0].count, bad[1:]
    said = f"{counted(count, 'value')} of {bad[0].name}"
    if others:
        tensors = "another tensor" if len(others) == 1 else counted(len(others), "other tensor")
        said += f" and {sum(one.count for one in others):,} of {tensors}"
    return f"{said} {'is' if count == 1 and not others else 'are'}"


def _name(loaded: Loaded) -> str:
    return str(loaded.dtype).removeprefix("torch.")


def _few(drop: PruneSet) -> str:
    return some([str(block) for block in drop], _MOST_NAMES)
