"""How fast a model reads without its dropped blocks, beside the dense model timed in the same moments.

    dense, pruned = paired_seconds(loaded, windows, PruneSet.parse("attn.25"))
    median(dense / pruned)                   # how many times as fast

Machines share their processors and change their clock, so seconds measured minutes apart do not compare. The two
models therefore take turns, and only the ratio of neighbours is trusted.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from entviz.blocks import PruneSet
from entviz.models.loaded import LoadedModel
from entviz.text.windows import Windows
from entviz.timing import seconds

REPEATS = 5


def paired_seconds(
    loaded: LoadedModel, windows: Windows, drop: PruneSet, *, repeats: int = REPEATS
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds to read the first window and predict what follows it, dense and pruned, alternating: two (repeats,).

    The vocabulary projection is done for the last position, as when a prompt is read before generating.
    """
    token_ids = windows.inputs[:1].to(loaded.device)
    times = np.empty((2, repeats + 1))
    with torch.inference_mode():
        for repeat in range(repeats + 1):
            for row, blocks in enumerate((PruneSet(), drop)):
                times[row, repeat] = seconds(partial(_read, loaded, token_ids, blocks), loaded.device)
    return times[0, 1:], times[1, 1:]  # the first time, memory is still being set aside


def _read(loaded: LoadedModel, token_ids: torch.Tensor, drop: PruneSet) -> None:
    hidden = loaded.anatomy.run(token_ids, drop)
    loaded.anatomy.head.logits(hidden[:, -1])
