"""The time that measuring every block alone, and every pair of blocks, takes on this machine.

plan(loaded, windows, level="attn").seconds_pairs
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from entviz.blocks import Block, PruneSet
from entviz.comparison.interactions.interactions import chosen_blocks
from entviz.decoder.batching import windows_per_batch
from entviz.decoder.running import run_pruned
from entviz.decoder.states import StateCache
from entviz.evaluation.loss import TextOnDevice, dense_on
from entviz.evaluation.scoring import score
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.text.windows import Windows


@dataclass(frozen=True)
class Plan:
    """The amount of work, and how long it takes on this machine, estimated from the time of one pass.

    Attributes:
        blocks, pairs: the numbers of blocks and pairs.
        seconds_alone: for every block alone.
        seconds_pairs: for every block alone and every pair.
    """

    blocks: int
    pairs: int
    seconds_alone: float
    seconds_pairs: float


def plan(
    loaded: LoadedModel,
    windows: Windows,
    level: str = "attn",
    *,
    blocks: Sequence[Block] | None = None,
    progress: Progress = silent,
) -> Plan:
    """Time one dense pass over the first windows, and estimate from it how long measuring takes.

    Dropping block i alone runs the L - i layers after it and the vocabulary projection; dropping a pair runs the layers
    after its second block. Raises the errors of :func:`interactions`.
    """
    chosen = chosen_blocks(loaded, level, blocks)
    anatomy, layers = loaded.anatomy, loaded.layers
    size = windows_per_batch(loaded.anatomy, windows.input_length)
    part = windows.inputs[:size]
    text = TextOnDevice.of(loaded, "float32", part, windows)

    def tick() -> None:
        progress(0, 2)

    with torch.inference_mode():
        dense = dense_on(loaded, text, StateCache(0), tick)  # a first run to warm up
        progress(1, 2)
        started = time.perf_counter()
        hidden = run_pruned(anatomy, text.token_ids, PruneSet(), after_layer=lambda _: tick())
        _finished(hidden)
        middle = time.perf_counter()
        _finished(score(anatomy.head, *text.scored(hidden), dense, after_chunk=tick).nll)
        ended = time.perf_counter()
    share = len(windows) / len(part)
    layer, projection = share * (middle - started) / layers, share * (ended - middle)
    # In order of depth, so the second block of a pair is the later one.
    left = np.array([layers - block.index for block in chosen])
    alone = layer * (layers + left.sum()) + projection * (1 + len(chosen))
    pairs = len(chosen) * (len(chosen) - 1) // 2
    both = layer * (left.sum() + (left * np.arange(len(chosen))).sum()) + projection * pairs
    progress(2, 2)
    return Plan(len(chosen), pairs, float(alone), float(alone + both))


def _finished(states: torch.Tensor) -> None:
    if states.device.type != "cpu":  # wait until an accelerator has finished, and then read the time
        states.sum().item()
