"""The repair ``bias`` of many prune sets at once: what it adds after a hole is found once for all that begin alike.

    biases = Biases(loaded, calibration, dtype="auto")
    evaluate_many(loaded, windows, prune_sets, dtype="auto", biases=biases)

After each hole the stream is moved by what it lacks there on average, each token weighted as in
:mod:`entviz.repair.bias`. That depends on nothing but the blocks dropped before, so that prune sets share it as they
share their first layers, and a prune set with one more block needs few layers more. It is for work that tries many
prune sets; :func:`entviz.repair.fitting.fit` fits one, with any method.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.precision import resolved
from entviz.decoder.states import StateCache, text_key
from entviz.evaluation.walk import Walk
from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows

_Hole = tuple[int, frozenset[int], frozenset[int]]  # where it ends, attentions and MLPs dropped before


class Biases:
    """The constants of all prune sets that were asked for so far, and the text that they are fitted on.

    Args:
        loaded: the model.
        windows: the text to fit on. All of it goes through the model together, so it should be a few thousand tokens.
        dtype: the number type to run in.

    Attributes:
        key: identifies these constants in a cache of states.
    """

    def __init__(self, loaded: LoadedModel, windows: Windows, dtype: str = "float32") -> None:
        self.dtype = resolved(dtype, loaded.device)
        self.loaded, self.windows = loaded, windows
        # Of this object alone: a state that another one cached would be found without the constants that led to it.
        self.key: Hashable = ("biases", object())
        self._dense: dict[
            int, tuple[Tensor, Tensor]
        ] = {}  # by position: tokens' weights, sum 1, and their mean
        self._found: dict[_Hole, Tensor] = {}

    def learn(
        self, prune_sets: Sequence[PruneSet], cache: StateCache, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Find the constants of these prune sets that are not known yet. ``tick`` can raise to stop."""
        anatomy = self.loaded.in_dtype(self.dtype).anatomy
        unknown = [drop for drop in prune_sets if drop and not self._knows(drop)]
        if not unknown:
            return
        with torch.inference_mode():
            ids = self.windows.inputs
            hidden, calls = anatomy.begin(ids.to(self.loaded.device))
            if not self._dense:
                self._measure_dense(tick)
            known = cache if anatomy.resumable else StateCache(0)
            text = (text_key(self.loaded.fingerprint, self.dtype, ids), "calibration")
            walk = Walk(anatomy, calls, tick, known, text, _Learning(self))
            for places, _ in walk.leaves(0, hidden, list(enumerate(unknown))):
                for place in places:
                    self._found[_whole(unknown[place])] = hidden.new_empty(0)

    def mended(self, position: int, hidden: Tensor, drop: PruneSet) -> Tensor:
        """Hidden states (windows, tokens, width) with the constant of the hole of ``drop`` that ends at ``position``.

        ``position`` counts the blocks passed. Raises ``KeyError`` for a prune set that was not learnt.
        """
        return hidden + self._found[_hole(position, drop)].to(hidden)

    def _knows(self, drop: PruneSet) -> bool:
        return _whole(drop) in self._found

    def _tokens(self, hidden: Tensor) -> Tensor:
        """(tokens, width) of the text alone, float32."""
        return hidden[:, len(self.windows.beginning) :].flatten(0, 1).float()

    def _measure_dense(self, tick: Callable[[], None]) -> None:
        anatomy = self.loaded.in_dtype(self.dtype).anatomy
        hidden, calls = anatomy.begin(self.windows.inputs.to(self.loaded.device))
        found: dict[int, tuple[Tensor, Tensor]] = {}
        for i, (step, call) in enumerate(zip(anatomy.split_layers, calls, strict=True)):
            tick()
            middle, hidden = step.trace(hidden, call)
            for position, states in ((2 * i + 1, middle), (2 * i + 2, hidden)):
                tokens = self._tokens(states)
                squares = tokens.square().mean(1)
                # As the repair weights them, so that a few tokens with massive activations do not decide.
                weights = 1 / squares.clamp_min(squares.median() / 100).clamp_min(1e-30)
                weights = weights / weights.sum()
                found[position] = weights, weights @ tokens
        self._dense = found

    def _learn(self, position: int, hidden: Tensor, drop: PruneSet) -> None:
        hole = _hole(position, drop)
        if hole not in self._found:
            weights, target = self._dense[position]
            self._found[hole] = target.to(hidden.device) - weights.to(hidden.device) @ self._tokens(hidden)


class _Learning:
    """Finds each constant when the walk comes to it, and goes on with it."""

    def __init__(self, biases: Biases) -> None:
        self.biases = biases
        self.key = biases.key

    def mended(self, position: int, hidden: Tensor, drop: PruneSet) -> Tensor:
        self.biases._learn(position, hidden, drop)
        return self.biases.mended(position, hidden, drop)


def _hole(position: int, drop: PruneSet) -> _Hole:
    attentions, mlps = (position + 1) // 2, position // 2  # that were passed
    return (
        position,
        frozenset(i for i in drop.attention if i < attentions),
        frozenset(i for i in drop.mlp if i < mlps),
    )


def _whole(drop: PruneSet) -> _Hole:
    return -1, frozenset(drop.attention), frozenset(drop.mlp)
