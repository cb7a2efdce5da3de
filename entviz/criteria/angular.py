"""Angular distance between the inputs of two layers, to find the run of layers that changes hidden states least.

distances = angular_distances(loaded, windows)
distances.loc[distances["size"] == 8].nsmallest(1, "distance")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entviz.blocks import Block
from entviz.criteria.criterion import Criterion
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.ranking import Ranking
    from entviz.models.loaded import LoadedModel
    from entviz.text.windows import Windows


@dataclass(frozen=True)
class AngularDistance(Criterion):
    """Drop the run of consecutive layers with the least angular distance (Gromov et al. 2024, algorithm 1)."""

    name = "angular-distance"
    title = "Angular distance"
    short_title = "Angular distance"
    source = "Gromov et al. 2024, arXiv:2403.17887"
    level = "layer"
    levels = ("layer",)
    needs = "model"
    order = "none"
    score_title = "Angular distance of input and output"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        distances = angular_distances(calibration.loaded, calibration.windows, progress=progress)
        free = candidates.free
        size = candidates.count(free)
        start = closest_run(distances, size, free[0].index, free[-1].index) if size else 0
        single = distances[distances["size"] == 1]
        alone = {
            f"layer.{layer}": float(distance)
            for layer, distance in zip(single["start"], single["distance"], strict=True)
        }
        chosen = [Block("layer", i) for i in range(start, start + size)]
        return candidates.whole(self.name, chosen, alone)


def angular_distances(loaded: LoadedModel, windows: Windows, *, progress: Progress = silent) -> pd.DataFrame:
    """Angular distance across every run of consecutive layers (Gromov et al. 2024, equation 6).

    The distance between the input of layer ``start`` and the output of layer ``start + size - 1`` is arccos(cosine
    similarity) / pi, from 0 (same direction) to 1 (opposite). The paper uses the last token of each of many texts;
    entviz takes the mean over all tokens, which needs far less text for the same certainty.

    Returns:
        a row for each run: start, size (layers), distance.

    Raises:
        ModelError: if hidden states are not finite; the message says why.
    """
    import pandas as pd
    import torch

    from entviz.decoder.batching import batches, windows_per_batch
    from entviz.finite import check

    anatomy = loaded.anatomy
    layers, length = anatomy.layers, windows.input_length
    # The hidden states of all sites between layers are in memory at once, so batches are half as large as elsewhere.
    size = max(1, windows_per_batch(loaded.anatomy, length) // 2)
    total = torch.zeros(layers + 1, layers + 1, dtype=torch.float64)
    with torch.inference_mode():
        for first, token_ids in batches(windows.inputs, size):
            hidden, calls = anatomy.begin(token_ids.to(loaded.device))
            sites = [_directions(hidden)]
            for i, (step, call) in enumerate(zip(anatomy.split_layers, calls, strict=True)):
                hidden = step.run(hidden, call)
                sites.append(_directions(hidden))
                progress(first * layers + (i + 1) * len(token_ids), len(windows) * layers)
            stacked = torch.stack(sites, dim=1)  # (tokens, sites, width)
            cosines = (stacked @ stacked.transpose(1, 2)).clamp(-1, 1)
            added = cosines.arccos().sum(0, dtype=torch.float64).cpu() / torch.pi
            check(added, loaded, token_ids)
            total += added
    total /= len(windows) * windows.input_length
    rows = [
        (start, end - start, float(total[start, end]))
        for start in range(layers)
        for end in range(start + 1, layers + 1)
    ]
    return pd.DataFrame(rows, columns=["start", "size", "distance"])


def closest_run(distances: pd.DataFrame, size: int, first: int, last: int) -> int:
    """The start of the run of ``size`` layers with the least distance among the runs from ``first`` to ``last``."""
    runs = distances[(distances["size"] == size) & (distances["start"] >= first)]
    runs = runs[runs["start"] + size - 1 <= last]
    return int(runs.loc[runs["distance"].idxmin(), "start"])


def _directions(hidden: torch.Tensor) -> torch.Tensor:
    """Unit vectors (tokens, width) of hidden states (windows, tokens, width)."""
    import torch

    return torch.nn.functional.normalize(hidden.float().flatten(0, 1), dim=-1)
