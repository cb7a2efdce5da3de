"""Tokens with massive activations, and hidden states without them.

    tokens = massive_tokens(loaded, windows)         # one pass through the model; a row for each massive token
    kept = Kept(tokens, len(windows), windows.input_length)
    for windows_of_part, states_of_part in kept.parts(states, first=0): ...

The rule: at a site, a token is massive if the norm of its hidden state is more than 10 times the median norm of the
tokens in its window. A token that is massive at any site of the dense model is left out at all sites, and in the pruned
model too, so that each step of a curve and each difference between two curves compares the same tokens. If a token were
left out only at the sites where it is massive, the curve would step at these sites although no block changed the other
tokens. The token still goes through the model, and other tokens attend to it.

These tokens are known only after a text has gone through all layers. Measuring without them therefore needs an earlier
pass that computes only norms, unless an analysis has already found them. Keeping the states of all sites would avoid
that pass, but take (2 L + 1) times the memory.

Source: Sun et al. 2024, "Massive Activations in Large Language Models" (arXiv 2402.17762). They call an activation
massive if its magnitude is above 100 and about 1000 times the median magnitude in its hidden state. A few such
dimensions make up nearly all of the norm of the state. The rule here compares norms, so it needs no absolute bound,
which would depend on the scale of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd
import torch
from torch import Tensor

from entviz.blocks import PruneSet
from entviz.decoder.batching import batches, windows_per_batch
from entviz.errors import OptionError
from entviz.estimators import Metric
from entviz.finite import all_finite, cause
from entviz.progress import Progress, silent
from entviz.text.spelling import spell
from entviz.words.massive import RATIO

if TYPE_CHECKING:
    from entviz.models.loaded import LoadedModel
    from entviz.text.windows import Windows

_COLUMNS: Final = ("window", "position", "token_id", "text", "ratio", "first", "last")


def norm_ratios(states: Tensor) -> Tensor:
    """The norm of each token divided by the median norm in its window.

    Args:
        states: hidden states at a site, shape (windows, tokens, width), any floating-point type.

    Returns:
        float64 (windows, tokens), without unit. The median of an even number of norms is the lower of the middle two.
        If the median is 0, all ratios of the window are 0, so that no token is massive. A ratio is not finite if its
        state is not.
    """
    norms = torch.linalg.vector_norm(states, dim=2, dtype=torch.float32)
    if not all_finite(norms):  # the squares of large float32 numbers overflow in float32
        norms = torch.linalg.vector_norm(states, dim=2, dtype=torch.float64)
    norms = norms.double()
    medians = norms.median(dim=1, keepdim=True).values
    return torch.where(medians == 0, 0.0, norms / medians)


class MassiveCount:
    """Finds massive tokens. It keeps a row for each token found.

    Batches can come one after the other through all sites, or all through one site after the other.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        # The token id, the highest ratio, the first and the last site, by window and position.
        self.found: dict[tuple[int, int], tuple[int, float, str, str]] = {}

    def site(self, token_ids: Tensor, site: str, states: Tensor, first: int) -> None:
        """Examine a site of a batch whose windows have numbers from ``first`` on; sites come in order of depth.

        Raises ``ModelError`` if states are not finite.
        """
        ratios = norm_ratios(states)
        if not all_finite(ratios):
            raise cause(self._loaded, token_ids, PruneSet())
        for window, position in (ratios > RATIO).nonzero().tolist():
            ratio, token_id = float(ratios[window, position]), int(token_ids[window, position])
            place = (first + window, position)
            _, before, since, _ = self.found.get(place, (token_id, 0.0, site, site))
            self.found[place] = (token_id, max(ratio, before), since, site)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each massive token; see :attr:`entviz.analysis.Analysis.massive`."""
        tokenizer = self._loaded.optional_tokenizer
        rows = [
            (*place, token_id, "" if tokenizer is None else "".join(spell(tokenizer, [token_id])), *found)
            for place, (token_id, *found) in sorted(self.found.items())
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))


def massive_tokens(loaded: LoadedModel, windows: Windows, *, progress: Progress = silent) -> pd.DataFrame:
    """The massive tokens of the dense model, found in one pass that computes only norms.

    Returns:
        A row for each token; see :attr:`entviz.analysis.Analysis.massive`.

    Raises:
        ModelError: if hidden states are not finite; the message says why.
    """
    anatomy, count = loaded.anatomy, MassiveCount(loaded)
    total = len(windows) * anatomy.layers
    progress(0, total)
    with torch.inference_mode():
        for done, token_ids in batches(windows.inputs, windows_per_batch(anatomy, windows.input_length)):
            hidden, calls = anatomy.begin(token_ids.to(loaded.device))
            count.site(token_ids, "embed", hidden, done)
            for i in range(anatomy.layers):
                middle, hidden = anatomy.split_layers[i].trace(hidden, calls[i])
                count.site(token_ids, f"attn.{i}", middle, done)
                count.site(token_ids, f"layer.{i}", hidden, done)
                progress(done * anatomy.layers + (i + 1) * len(token_ids), total)
    return count.table


class Kept:
    """The tokens of each window that are measured.

    Args:
        massive: a row for each token left out; see :attr:`entviz.analysis.Analysis.massive`.
        windows, tokens: the number of windows, and of tokens in each.
    """

    def __init__(self, massive: pd.DataFrame, windows: int, tokens: int) -> None:
        self._windows, self._tokens = windows, tokens
        self._gone: dict[int, set[int]] = {}
        for window, position in zip(massive["window"], massive["position"], strict=True):
            self._gone.setdefault(int(window), set()).add(int(position))

    @property
    def places(self) -> list[tuple[int, int]]:
        """The windows and positions of the tokens that are left out, sorted."""
        return sorted((window, position) for window, gone in self._gone.items() for position in gone)

    def check(self, metrics: Iterable[Metric]) -> None:
        """Raise ``OptionError`` if a window keeps fewer tokens than a metric needs."""
        if not self._gone:
            return
        window = max(self._gone, key=lambda each: len(self._gone[each]))
        kept = self._tokens - len(self._gone[window])
        for metric in metrics:
            if kept < metric.minimum_tokens:
                raise OptionError(
                    f"The {metric.spec} estimator needs at least {metric.minimum_tokens} tokens in a window, but "
                    f"window {window + 1} of {self._windows} has {kept} without its massive tokens: {metric.remedy}, "
                    "or measure with all tokens."
                )

    def parts(self, states: Tensor, first: int) -> Iterator[tuple[list[int], Tensor]]:
        """The hidden states of the kept tokens; windows that keep the same number of tokens are in the same part.

        Args:
            states: shape (windows, tokens, width), of windows from number ``first`` on.

        Yields:
            The indices of the part's windows in ``states``, and their states (windows of the part, kept tokens, width).
        """
        by_count: dict[int, list[int]] = {}
        for place in range(len(states)):
            by_count.setdefault(len(self._gone.get(first + place, ())), []).append(place)
        for gone, places in by_count.items():
            if not gone:
                yield places, states if len(places) == len(states) else states[places]
                continue
            columns = [
                [token for token in range(self._tokens) if token not in self._gone[first + place]]
                for place in places
            ]
            rows = torch.tensor(places, device=states.device).unsqueeze(1)
            yield places, states[rows, torch.tensor(columns, device=states.device)]


def parts_of(states: Tensor, kept: Kept | None, first: int) -> list[tuple[list[int], Tensor]]:
    """The states to measure, in the form of :meth:`Kept.parts`; if ``kept`` is None, one part with all tokens."""
    return [(list(range(len(states))), states)] if kept is None else list(kept.parts(states, first))


def joined(parts: Sequence[tuple[list[int], list[float]]]) -> list[float]:
    """The values of all windows in order; ``parts`` holds the indices of windows and their values."""
    by_place = {place: value for places, values in parts for place, value in zip(places, values, strict=True)}
    return [by_place[place] for place in sorted(by_place)]
