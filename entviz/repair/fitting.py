"""Fit a repair: walk the dense and the repaired stream side by side, and solve for one place after another.

    repair = fit(loaded, [windows_of_prose, windows_of_code], PruneSet.parse("attn.5,attn.6"), "refit")
    evaluate(loaded, other_windows, repair.drop, repair=repair)

The places are taken by depth, and each sees the stream as the places before it have repaired it. How much coefficients
are kept small is decided at each place on every fourth calibration window, which is then fitted on as well. If there
are several kinds of text, each counts the same there, however long it is; a fit counts every token the same, as the
few tokens of a short text would otherwise decide more than they can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from entviz.blocks import Block, PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.patches import Correction, Patch, patched
from entviz.decoder.precision import AUTO, resolved
from entviz.decoder.states import text_key
from entviz.errors import ModelError, OptionError
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.repair.groups import Group, grouped
from entviz.repair.kept import Kept
from entviz.repair.method import Method, Projected, Seen
from entviz.repair.moments import Moments, Rows
from entviz.repair.places import Place, Way
from entviz.repair.projections import find, half_of, reading
from entviz.repair.registry import METHODS
from entviz.repair.repair import Fit, Repair
from entviz.repair.ridge import FIRST, LEAST, RIDGES, best_ridge, left
from entviz.repair.streams import Beginnings, Stream, walk
from entviz.repair.sums import Sums
from entviz.text.windows import Windows

_NO_PROJECTION: Final = Projected("", torch.empty(0, 0))


def fit(
    loaded: LoadedModel,
    calibration: Windows | Sequence[Windows],
    drop: PruneSet,
    method: str | Method,
    *,
    dtype: str = "float32",
    kept: Kept | None = None,
    progress: Progress = silent,
) -> Repair:
    """Fit what repairs the damage of dropping ``drop``. The model is not changed.

    Args:
        calibration: windows of text, of one kind or of several. What is measured later should be other text.
        method: a name in ``METHODS``, or a method.
        dtype: the number type to run the model in, or ``auto`` for the fastest on this device. What is fitted to its
            hidden states is float64 whatever that is: their rounding errors are small beside what dropping changes,
            and have nothing to do with one another.
        kept: what earlier fits left, to start from and to add to.

    Raises:
        BlockError: where the prune set names a block that the model lacks, or leaves nothing of it.
        OptionError: for an unknown method, an empty prune set, or fewer calibration tokens than unknowns.
        ModelError: where the method does not fit the model's blocks, or hidden states are not finite.
    """
    drop.check(loaded.layers)
    if not drop:
        raise OptionError("Nothing is dropped, so there is nothing to repair. Name the blocks to drop.")
    chosen = METHODS[method]() if isinstance(method, str) else method
    kinds = [calibration] if isinstance(calibration, Windows) else list(calibration)
    kept = Kept(0) if kept is None else kept
    running = _running(loaded, dtype)
    groups = grouped(running, kinds, holds_out=chosen.ridge)
    fitting = _Fitting(loaded, running, chosen, Way(running.anatomy, drop), groups, kept, progress)
    with torch.inference_mode():
        fits = fitting.run()
    return Repair(
        method=chosen.name,
        drop=drop,
        patches=tuple(fitting.patches),
        fits=tuple(fits),
        calibration=tuple(windows.fingerprint for windows in kinds),
        tokens=sum(windows.token_ids.numel() for windows in kinds),
        notes=tuple(fitting.notes),
    )


def _running(loaded: LoadedModel, dtype: str) -> LoadedModel:
    try:
        return loaded.in_dtype(resolved(dtype, loaded.device))
    except ModelError:
        if dtype != AUTO:
            raise
        return loaded  # there is no room for a copy that would be faster, which nobody asked for


@dataclass(eq=False)
class _Fitting:
    original: LoadedModel  # whose weights a repair is beside
    loaded: LoadedModel  # the same in the number type that it runs in
    method: Method
    way: Way
    groups: list[Group]
    kept: Kept
    progress: Progress
    patches: list[Patch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ridge: float = FIRST
    done: int = 0

    def run(self) -> list[Fit]:
        places = self._places()
        anatomy = self.loaded.anatomy
        ids = [group.token_ids for group in self.groups]
        texts = [text_key(self.loaded.fingerprint, str(self.loaded.dtype), one.cpu()) for one in ids]
        numbers = self.loaded.width * sum(one.numel() for one in ids)
        states = self.kept.states_for(self.loaded.layers, numbers, self.loaded.dtype.itemsize)
        self.beginnings = Beginnings(anatomy, ids)
        dense, mended = (Stream(anatomy, self.beginnings, states, texts) for _ in range(2))
        dense_way = Way(anatomy, PruneSet())
        self.steps = 3 * len(places) * len(self.groups)
        about = (tuple(texts), tuple((group.kinds, group.held_out) for group in self.groups), self.method)
        fits = []
        for place in places:
            key = (about, place, self.way.dropped_before(place.end))
            known = self.kept.get(key)
            if known is None:
                dense.advance(anatomy, dense_way, place.end, self._tick)
                repaired = patched(anatomy, self.patches)
                mended.advance(repaired, self.way, place.start, self._tick)
                # Found before anything is run, so that a method that does not fit is refused at once.
                projection = self._projections.get(place, _NO_PROJECTION)
                known = self._solve(place, self._sums(repaired, place, projection, dense, mended), projection)
                self.kept.put(key, known)
                if isinstance(known[0], Correction):
                    # The stream has come to where the correction is made, and has not been through it.
                    self._correct(mended, known[0])
            else:
                self.done += 3 * len(self.groups)
            made, said = known
            fits.append(said)
            if made is not None:
                self.patches.append(made)
            if said.ridge in RIDGES:
                self.ridge = said.ridge
        return fits

    def _places(self) -> list[Place]:
        places = self.method.places(self.way)
        self._projections: dict[Place, Projected] = {}
        if self.method.projects:
            if self.way.holes[0].block is None:
                self.notes.append(
                    f"{self.way.holes[0].hole[0]} is dropped with no kept block before it, so that hole is left "
                    "as it is; bias, nbl and ghosted can repair it."
                )
            for place in places:
                found = find(self.original.anatomy, place.changed)
                if found is None:
                    raise ModelError(
                        f"{place.block} of {self.loaded.name} adds to the stream through a norm or through several "
                        f"experts, so no matrix of it can be refitted as {self.method.name} does. Use bias, nbl or "
                        "ghosted."
                    )
                self._projections[place] = found
        return places

    def _sums(
        self, repaired: Anatomy, place: Place, projection: Projected, dense: Stream, mended: Stream
    ) -> Sums:
        found = Sums()
        for number, group in enumerate(self.groups):
            seen = self._seen(
                repaired, place, projection, number, mended.hidden(number), dense.hidden(number)
            )
            errors = self.method.errors(seen)
            weights = errors.new_ones(len(errors))
            if self.method.weighted:
                weights = _weights(seen.target)
            rows = Rows.of(self.method.features(seen), errors, weights, self.method.intercept)
            for kind, windows in group.parts(by_kind=not self.method.ridge).items():
                found.add(rows.of_windows(windows, len(group.kinds)), kind)
            self._tick()
        if not found.finite:
            raise ModelError(
                f"Hidden states of {self.loaded.name} at {place} are not finite, so nothing can be fitted there. "
                "Drop other blocks, or load the model in float32."
            )
        return found

    def _check_tokens(self, fitted: Moments) -> None:
        unknowns = len(fitted.lower)
        if len(fitted) < unknowns:
            raise OptionError(
                f"{self.method.name} has {unknowns:,} unknowns for each dimension here, and the calibration text gives "
                f"{len(fitted):,} tokens to fit them. Calibrate on more text, or use bias, which has one."
            )

    def _seen(
        self,
        repaired: Anatomy,
        place: Place,
        projection: Projected,
        number: int,
        before: Tensor,
        target: Tensor,
    ) -> Seen:
        skipped = self.groups[number].before
        read: list[Tensor] = []
        anatomy = repaired
        if projection.path:
            anatomy = _watching(repaired, place.changed, projection.path, read.append)
        after = walk(anatomy, self.way, before, self.beginnings.calls(number), place.start, place.end)

        def rows(states: Tensor) -> Tensor:
            return states[:, skipped:].flatten(0, 1).to(after.device)

        inputs = read[-1].reshape(*before.shape[:2], -1) if read else before[..., :0]
        return Seen(
            inputs=rows(inputs),
            weight=projection.weight.to(after.device),
            before=rows(before),
            after=rows(after),
            target=rows(target),
        )

    def _solve(self, place: Place, sums: Sums, projection: Projected) -> tuple[Patch | None, Fit]:
        fitted, decides = sums.fitted, sums.kinds
        self._check_tokens(fitted)
        ridge = best_ridge(fitted, decides, self.ridge) if self.method.ridge else LEAST
        inputs = len(fitted.lower) - fitted.intercept
        if ridge == math.inf:
            return None, Fit(place.site, str(place.block or ""), inputs, ridge, (1.0,) * len(decides))
        share = left(fitted.solve(ridge), decides)
        said = Fit(place.site, str(place.block or ""), inputs, ridge, share)
        solution = sums.everything().solve(ridge)
        made = self.method.patch(
            place, solution[:inputs].cpu(), solution[inputs:].flatten().cpu(), projection
        )
        with torch.inference_mode(False):
            return made.detached(), said

    def _correct(self, mended: Stream, patch: Correction) -> None:
        for number in range(len(self.groups)):
            mended.put(number, patch.applied(mended.hidden(number)))

    def _tick(self) -> None:
        self.done += 1
        self.progress(min(self.done, self.steps - 1), self.steps)


def _weights(target: Tensor) -> Tensor:
    """(tokens,) one over the mean square of each token's hidden state, at most a hundred times that of the median.

    A token that starts from an embedding of zeros, as of padding, may be all zeros at every site.
    """
    squares = target.float().square().mean(1)
    return 1 / squares.clamp_min(squares.median() / 100).clamp_min(1e-30)


def _watching(anatomy: Anatomy, block: Block, path: str, note: Callable[[Tensor], None]) -> Anatomy:
    """The anatomy with views of one layer that note what an output projection reads."""
    step = anatomy.split_layers[block.index]
    name = "attention_half" if block.kind == "attn" else "mlp_half"
    views = {"layer": reading(step.layer, path, note), name: reading(half_of(step, block), path, note)}
    steps = list(anatomy.split_layers)
    steps[block.index] = replace(step, **views)  # type: ignore[arg-type]  # names of fields, all of them modules
    return replace(anatomy, split_layers=tuple(steps))
