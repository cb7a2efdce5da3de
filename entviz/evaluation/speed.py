"""How fast a model is without its dropped blocks, beside the dense model timed in turn with it.

dense, pruned = reading_seconds(loaded, windows, PruneSet.parse("attn.25"))
Speed.of(dense, pruned).times            # how many times as fast it reads
timed(loaded, generation).writing        # the same of writing, a token at a time
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import torch

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.evaluation.generation import Generation, Paired, Writer
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.repair.repair import Repair, repaired
from entviz.text.windows import Windows
from entviz.timing import in_turn

REPEATS = 5
MOST_REPEATS = 15  # of writing a token


def reading_seconds(
    loaded: LoadedModel,
    windows: Windows,
    drop: PruneSet,
    *,
    repair: Repair | None = None,
    repeats: int = REPEATS,
    progress: Progress = silent,
) -> Paired:
    """Seconds to read the first window and predict what follows it, dense and pruned in turn, ``repeats`` of each.

    The vocabulary projection is done for the last position, as when a prompt is read before generating. With a
    ``repair`` of the prune set, the pruned model runs with it.
    """
    token_ids = windows.inputs[:1].to(loaded.device)
    pruned = repaired(loaded.anatomy, drop, repair)

    def read(anatomy: Anatomy, blocks: PruneSet) -> None:
        anatomy.head.logits(anatomy.run(token_ids, blocks)[:, -1])

    with torch.inference_mode():
        return in_turn(
            lambda: read(loaded.anatomy, PruneSet()),
            lambda: read(pruned, drop),
            loaded.device,
            repeats,
            between=_rounds(progress, 0, repeats + 1),
        )


def timed(
    loaded: LoadedModel,
    generation: Generation,
    *,
    repair: Repair | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Generation:
    """The same continuation with how long reading its prompt and writing its tokens took, dense and pruned in turn.

    Both models are fed the tokens of this continuation, so that they do the same work. Writing is timed token by
    token, and not at all where there are too few for :data:`REPEATS` of them. The dense model has nothing to be
    compared with, and is left as it is. ``repair`` is the one that the continuation was made with. ``progress`` may
    raise to stop.
    """
    if not generation.drop:
        return generation
    prompt = generation.token_ids[: generation.prompt_tokens]
    new = generation.token_ids[generation.prompt_tokens :]
    rounds = min(MOST_REPEATS, len(new) - 1)  # one more is not timed
    total = REPEATS + 1 + (rounds + 1 if rounds >= REPEATS else 0)

    def of_dense() -> Writer:
        return Writer(loaded, PruneSet(), use_cache=use_cache)

    def of_pruned() -> Writer:
        return Writer(loaded, generation.drop, repair=repair, use_cache=use_cache)

    reading = in_turn(
        lambda: of_dense().feed(prompt),
        lambda: of_pruned().feed(prompt),
        loaded.device,
        REPEATS,
        between=_rounds(progress, 0, total),
    )
    if rounds < REPEATS:
        return replace(generation, reading_seconds=reading)
    dense, pruned = of_dense(), of_pruned()
    for each in (dense, pruned):
        each.feed(prompt)
    for_dense, for_pruned = iter(new), iter(new)
    writing = in_turn(
        lambda: dense.feed([next(for_dense)]),
        lambda: pruned.feed([next(for_pruned)]),
        loaded.device,
        rounds,
        between=_rounds(progress, REPEATS + 1, total),
    )
    return replace(generation, reading_seconds=reading, writing_seconds=writing)


def _rounds(progress: Progress, done: int, total: int) -> Callable[[], None]:
    """Reports one more round each time it is called."""
    numbers = count(done + 1)
    return lambda: progress(next(numbers), total)
