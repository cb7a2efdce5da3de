"""A repair in the weights of a checkpoint: new output projections, and biases where the architecture can have them.

    folded = fold(loaded, repair, kept)
    folded.layer(layer, 5)            # a view of layer 5 with its new projections and biases
    folded.settings                   # such as {"attention_bias": True, "mlp_bias": True}

A constant after a hole is the same as a constant that the last kept block before the hole adds, since nothing reads the
stream in between. So a constant is a bias of that block's output projection. If its architecture has none there, some
setting of the config may give it one; which does is found by building the model without content under each setting.
Such a setting gives biases to all layers, and all but the fitted ones are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from entviz.blocks import PruneSet
from entviz.decoder.patches import Correction, Patch, Projection
from entviz.decoder.views import replaced
from entviz.errors import ExportError
from entviz.export.shrinking import smaller_config
from entviz.models.loaded import LoadedModel
from entviz.models.quiet import quiet
from entviz.repair.places import Way
from entviz.repair.projections import find
from entviz.repair.registry import METHODS
from entviz.repair.repair import Repair
from entviz.words.phrases import listed, some

WITHOUT_BIAS = "-without-bias"  # the end of the name of a method that leaves the biases out


@dataclass(frozen=True, eq=False)
class Folded:
    """What a checkpoint holds of a repair.

    Attributes:
        repair: the repair as written: projections alone, rounded to the number type of the weights.
        settings: settings of the config to change.
        biases: (layer, path inside it) of each bias that the settings bring, with its length. Layers are those of the
            whole model.
    """

    repair: Repair
    settings: dict[str, Any] = field(default_factory=dict)
    biases: dict[tuple[int, str], int] = field(default_factory=dict)

    @property
    def projections(self) -> list[Projection]:
        """The new output projections."""
        return [patch for patch in self.repair.patches if isinstance(patch, Projection)]

    @property
    def said(self) -> list[str]:
        """Where the repair is in the files, as a sentence."""
        without = self.repair.method.endswith(WITHOUT_BIAS)
        names = [f"{one.layer}.{one.path}" for one in self.projections]
        found = [f"The repair is in the output projections of layers of the whole model: {some(names, 4)}."]
        if without:
            found.append("It was fitted without constants, and measured so.")
        if self.settings:
            found.append(
                f"For its biases {listed(list(self.settings))} is on in config.json; all other biases that this brings "
                "are zero."
            )
        return found

    def weights(self, layers_path: str) -> dict[str, Tensor]:
        """The new weights and biases, by their names in the whole model."""
        found = {}
        for one in self.projections:
            name = f"{layers_path}.{one.layer}.{one.path}"
            found[f"{name}.weight"] = one.weight
            if one.bias is not None:
                found[f"{name}.bias"] = one.bias
        return found

    def layer(self, layer: nn.Module, index: int) -> nn.Module:
        """A view of a layer, which is number ``index`` of the whole model, with all that is folded into it."""
        here = {patch.path: patch for patch in self.projections if patch.layer == index}
        lengths = {path: length for (number, path), length in self.biases.items() if number == index}
        views = {}
        for path in {**here, **lengths}:
            module, patch = layer.get_submodule(path), here.get(path)
            like = next(module.parameters())
            weights: dict[str, Tensor] = {}
            if path in lengths:
                weights["bias"] = like.new_zeros(lengths[path])
            if patch is not None:
                weights["weight"] = patch.weight.T if isinstance(module, Conv1D) else patch.weight
                if patch.bias is not None:
                    weights["bias"] = patch.bias
            view = replaced(module, {})
            view.__dict__["_parameters"] = module._parameters | {
                name: nn.Parameter(weight.to(like.device, like.dtype).contiguous(), requires_grad=False)
                for name, weight in weights.items()
            }
            views[path] = view
        return replaced(layer, views)


def fold(loaded: LoadedModel, repair: Repair, kept: Sequence[int], *, adds_biases: bool = True) -> Folded:
    """How a checkpoint with the layers ``kept`` holds a repair.

    Args:
        adds_biases: whether the files can hold biases that the model itself does not have.

    Raises ``ExportError`` if its weights cannot express it, or the files cannot have the biases.
    """
    projections = [_projection(loaded, repair, patch) for patch in repair.patches]
    wanted = [(one.layer, one.path) for one in projections if one.bias is not None and _lacks(loaded, one)]
    settings, biases = switches(loaded, kept, wanted if adds_biases else ())
    if wanted and not settings:
        who = f"{loaded.model.config.model_type} models" if adds_biases else "these files"
        raise ExportError(
            f"{repair.method} needs biases that {who} cannot have. Repair by refit{WITHOUT_BIAS} instead."
        )
    rounded = [_rounded(one, loaded.dtype) for one in projections]
    return Folded(replace(repair, patches=tuple(rounded)), settings, biases)


def needs_biases(
    loaded: LoadedModel, drop: PruneSet, method: str, kept: Sequence[int], *, adds_biases: bool = True
) -> bool:
    """Whether a method that refits projections gives them biases that the files cannot have; see :func:`fold`."""
    if not (METHODS[method].projects and METHODS[method].intercept):
        return False
    wanted = []
    for place in METHODS[method]().places(Way(loaded.anatomy, drop)):
        found = find(loaded.anatomy, place.changed)
        if found is not None and found.bias is None:
            wanted.append((place.changed.index, found.path))
    return bool(wanted) and not (adds_biases and switches(loaded, kept, wanted)[0])


def switches(
    loaded: LoadedModel, kept: Sequence[int], wanted: Sequence[tuple[int, str]]
) -> tuple[dict[str, Any], dict[tuple[int, str], int]]:
    """The settings of the config that bring the biases ``wanted``, and all biases that these bring; empty for none.

    Args:
        kept: the layers of the checkpoint.
        wanted: (layer, path inside it) of each; layers, here and in the result, are those of the whole model.
    """
    config = loaded.model.config
    if not wanted or config.get_text_config(decoder=True) is not config:
        return {}, {}
    usual = _shapes(loaded, kept, {})
    settings: dict[str, Any] = {}
    biases: dict[tuple[int, str], int] = {}
    for name, value in config.to_dict().items():
        if "bias" not in name or value is not False:
            continue
        brought = _brought(loaded, kept, usual, _shapes(loaded, kept, {name: True}))
        if brought.keys() & set(wanted):
            settings[name] = True
            biases |= brought
    return (settings, biases) if biases.keys() >= set(wanted) else ({}, {})


def _brought(
    loaded: LoadedModel,
    kept: Sequence[int],
    usual: dict[str, torch.Size],
    other: dict[str, torch.Size],
) -> dict[tuple[int, str], int]:
    """The biases inside layers that ``other`` has more than ``usual``; none if they differ in anything else."""
    if not usual or any(other.get(name) != shape for name, shape in usual.items()):
        return {}
    found: dict[tuple[int, str], int] = {}
    prefix = f"{loaded.anatomy.layers_path}."
    for name in other.keys() - usual.keys():
        place, _, path = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix) or not path.endswith(".bias"):
            return {}
        found[kept[int(place)], path.removesuffix(".bias")] = other[name].numel()
    return found


def _shapes(loaded: LoadedModel, kept: Sequence[int], settings: dict[str, Any]) -> dict[str, torch.Size]:
    """The shapes of the parameters of such a model under other settings; empty if there is no such model."""
    try:
        config = smaller_config(loaded.model.config, kept)
        for name, value in settings.items():
            setattr(config, name, value)
        with quiet(), torch.device("meta"):
            made = type(loaded.model)(config)
    except Exception:  # noqa: BLE001  whatever a config's own checks object to, the setting is no way
        return {}
    return {name: weight.shape for name, weight in made.named_parameters()}


def _projection(loaded: LoadedModel, repair: Repair, patch: Patch) -> Projection:
    """What a patch is as a new output projection."""
    if isinstance(patch, Projection):
        return patch
    if (
        not isinstance(patch, Correction)
        or patch.matrix is not None
        or patch.scale != 1
        or patch.bias is None
    ):
        raise ExportError(
            f"What {repair.method} puts between blocks is no weight of a checkpoint. Repair by refit or bias, or "
            "export a recipe, which holds every repair."
        )
    way = Way(loaded.anatomy, repair.drop)
    place = next(place for place in way.holes if place.site == patch.site)
    if place.block is None:
        raise ExportError(
            f"{place.hole[0]} is dropped with no kept block before it that could add what is missing. Keep the first "
            "block, or repair by refit."
        )
    found = find(loaded.anatomy, place.block)
    if found is None:
        raise ExportError(
            f"{place.block} adds to the stream through a norm or through several experts, so its output has no bias "
            "that could add what is missing. Export a recipe, which holds every repair."
        )
    bias = patch.bias if found.bias is None else found.bias + patch.bias
    return Projection(place.block, found.path, found.weight, bias)


def _lacks(loaded: LoadedModel, patch: Projection) -> bool:
    module = loaded.anatomy.split_layers[patch.layer].layer.get_submodule(patch.path)
    return getattr(module, "bias", None) is None


def _rounded(patch: Projection, dtype: torch.dtype) -> Projection:
    bias = None if patch.bias is None else patch.bias.to(dtype).float()
    return replace(patch, weight=patch.weight.to(dtype).float(), bias=bias)
