"""What stands beside a prune set when its damage is repaired: small changes of a run, which leave the model as it is.

    patched(anatomy, [Correction("layer.7", bias=shift)])      # an Anatomy whose layer 7 adds ``shift`` at its end

A patch is one of three: a kept block's output projection is another (:class:`Projection`), the residual stream is put
through an affine map at a site (:class:`Correction`), or an affine map of the normed stream stands where a dropped
block was (:class:`Substitute`). All of them are tensors of the width of the model, float32, on the processor; a run
uses them in the number type and on the device of the layer they belong to.

Where attention and MLP of a layer run in parallel, the only sites that a correction can be at are the ends of layers:
a change of the stream between the two would not reach the MLP, which reads the layer's input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from entviz.blocks import Block
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.offloading import running_device
from entviz.decoder.splitting import Call, SplitLayer
from entviz.decoder.views import replaced


@dataclass(frozen=True, eq=False)
class _Tensors:
    """What patches have in common: tensors by name, and a name for all that they say."""

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by attribute."""
        return {
            field.name: value
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }

    def described(self) -> dict[str, Any]:
        """All else, as plain data."""
        return {
            field.name: str(value) if isinstance(value, Block) else value
            for field in fields(self)
            if not isinstance(value := getattr(self, field.name), Tensor) and value is not None
        }

    @property
    def extra_parameters(self) -> int:
        """How many numbers a run reads more because of this patch."""
        return sum(tensor.numel() for tensor in self.tensors().values())

    def detached(self) -> Self:
        """The same patch with float32 tensors of its own, which may be used outside inference mode."""
        return replace(self, **{name: tensor.float().clone() for name, tensor in self.tensors().items()})

    @cached_property
    def digest(self) -> str:
        """The same for equal patches, and for no others."""
        found = hashlib.blake2b(
            repr((type(self).__name__, sorted(self.described().items()))).encode(), digest_size=16
        )
        for name, tensor in sorted(self.tensors().items()):
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            found.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Projection(_Tensors):
    """Another output projection of a kept block.

    Attributes:
        block: the attention or MLP.
        path: where the projection is, a dotted path inside the layer.
        weight: (width, inputs).
        bias: (width,), or None for none.
    """

    block: Block
    path: str
    weight: Tensor
    bias: Tensor | None = None

    @property
    def extra_parameters(self) -> int:
        """Of the bias at most: the weight stands in another's place."""
        return 0 if self.bias is None else self.bias.numel()

    @property
    def layer(self) -> int:
        return self.block.index


@dataclass(frozen=True, eq=False)
class Correction(_Tensors):
    """The stream x becomes ``scale`` x + x ``matrix`` + ``bias`` at a site; what is None is left out.

    Attributes:
        site: ``attn.i`` or ``layer.i``: after attention, or after all of layer i. In a parallel layer ``layer.i``.
        matrix: (width, width).
        bias: (width,).
        scale: a factor of the whole stream.
    """

    site: str
    matrix: Tensor | None = None
    bias: Tensor | None = None
    scale: float = 1.0

    @property
    def layer(self) -> int:
        return int(self.site.partition(".")[2])

    def applied(self, hidden: Tensor) -> Tensor:
        """The stream (..., width) with the correction."""
        return _affine(self, partial(_to, hidden)).changed(hidden, hidden)


@dataclass(frozen=True, eq=False)
class Substitute(_Tensors):
    """An affine map of the normed stream in the place of a dropped block: x becomes x + n(x) ``matrix`` + ``bias``.

    n(x) is x over its root mean square. A norm's gain, and the mean that LayerNorm takes off, are linear and so part of
    the matrix.

    Attributes:
        block: the attention or MLP that was dropped.
        matrix: (width, width).
        bias: (width,).
    """

    block: Block
    matrix: Tensor
    bias: Tensor

    @property
    def layer(self) -> int:
        return self.block.index


Patch = Projection | Correction | Substitute


def patched(anatomy: Anatomy, patches: Sequence[Patch]) -> Anatomy:
    """A view of ``anatomy`` that runs with ``patches``; without any it is the anatomy itself."""
    if not patches:
        return anatomy
    steps = list(anatomy.split_layers)
    for layer in sorted({patch.layer for patch in patches}):
        steps[layer] = _patched(steps[layer], [patch for patch in patches if patch.layer == layer])
    changes = tuple((patch.layer, patch.digest) for patch in patches)
    return replace(anatomy, split_layers=tuple(steps), changes=(*anatomy.changes, *changes))


def normed(hidden: Tensor) -> Tensor:
    """Hidden states (..., width) over their root mean square, which is taken in float32 at least."""
    wide = hidden if hidden.dtype == torch.float64 else hidden.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + _EPSILON)).to(hidden.dtype)


_EPSILON = 1e-6  # what most models' norms add to the mean square


@dataclass(frozen=True, eq=False)
class PatchedLayer(SplitLayer):
    """A layer with changes of the stream in it; new projections are in its views already."""

    corrections: dict[str, tuple[_Affine, ...]]  # by kind of site: attn or layer
    substitutes: dict[str, _Affine]  # by kind of block: attn or mlp

    def trace(
        self, hidden: Tensor, call: Call, *, attention: bool = True, mlp: bool = True
    ) -> tuple[Tensor, Tensor]:
        return self._walk(hidden, call, attention=attention, mlp=mlp)

    def run(self, hidden: Tensor, call: Call, *, attention: bool = True, mlp: bool = True) -> Tensor:
        if attention and mlp and "attn" not in self.corrections:
            return self._corrected("layer", call.run(self.layer, hidden))
        return self._walk(hidden, call, attention=attention, mlp=mlp)[1]

    def half(self, hidden: Tensor, call: Call, kind: str, *, run: bool = True) -> Tensor:
        hidden = super().half(hidden, call, kind) if run else self._substituted(kind, hidden)
        return self._corrected("attn" if kind == "attn" else "layer", hidden)

    def _walk(self, hidden: Tensor, call: Call, *, attention: bool, mlp: bool) -> tuple[Tensor, Tensor]:
        middle = call.run(self.attention_half, hidden) if attention else self._substituted("attn", hidden)
        if self.parallel:
            other = call.run(self.mlp_half, hidden) if mlp else self._substituted("mlp", hidden)
            if other is not hidden and middle is not hidden:
                other = other + (middle - hidden)
            return middle, self._corrected("layer", middle if other is hidden else other)
        middle = self._corrected("attn", middle)
        after = call.run(self.mlp_half, middle) if mlp else self._substituted("mlp", middle)
        return middle, self._corrected("layer", after)

    def _corrected(self, kind: str, hidden: Tensor) -> Tensor:
        for affine in self.corrections.get(kind, ()):
            hidden = affine.changed(hidden, hidden)
        return hidden

    def _substituted(self, kind: str, hidden: Tensor) -> Tensor:
        affine = self.substitutes.get(kind)
        return hidden if affine is None else affine.changed(hidden, normed(hidden))


@dataclass(frozen=True, eq=False)
class _Affine:
    matrix: Tensor | None
    bias: Tensor | None
    scale: float = 1.0

    def changed(self, stream: Tensor, features: Tensor) -> Tensor:
        change = stream if self.scale == 1.0 else stream * self.scale
        if self.matrix is not None:
            change = change + features @ self.matrix.to(stream.device)
        return change if self.bias is None else change + self.bias.to(stream.device)


def _affine(patch: Correction | Substitute, to: Callable[[Tensor | None], Tensor | None]) -> _Affine:
    return _Affine(to(patch.matrix), to(patch.bias), getattr(patch, "scale", 1.0))


def _patched(step: SplitLayer, patches: Iterable[Patch]) -> PatchedLayer:
    # Its weights may be on disk, and have no device of their own.
    like = torch.empty(0, dtype=next(step.layer.parameters()).dtype, device=running_device(step.layer))
    to = partial(_to, like)
    views: dict[str, dict[str, nn.Module]] = {"attn": {}, "mlp": {}}
    corrections: dict[str, tuple[_Affine, ...]] = {}
    substitutes: dict[str, _Affine] = {}
    for patch in patches:
        if isinstance(patch, Projection):
            views[patch.block.kind][patch.path] = _linear(_to_layer(like, patch.weight), to(patch.bias))
        elif isinstance(patch, Correction):
            kind = patch.site.partition(".")[0]
            corrections[kind] = (*corrections.get(kind, ()), _affine(patch, to))
        else:
            substitutes[patch.block.kind] = _affine(patch, to)
    return PatchedLayer(
        replaced(step.layer, views["attn"] | views["mlp"]),
        # What stands for the other block in a half may be at the same path (OPT's fc2), and stays.
        replaced(step.attention_half, views["attn"]),
        replaced(step.mlp_half, views["mlp"]),
        step.parallel,
        step.attention_modules,
        step.mlp_modules,
        corrections,
        substitutes,
    )


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias, requires_grad=False)
    return made


def _to(like: Tensor, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else _to_layer(like, tensor)


def _to_layer(like: Tensor, tensor: Tensor) -> Tensor:
    return tensor.to(like.device, like.dtype)
