"""The results of the EntroDrop authors' functions and of really pruned copies for the default model.

FIGURES["mean_nll_per_window_by_dropped_blocks"]["layer.0"]      # a loss for each of the four windows
measured_windows()                                               # those windows
"""

import json
from pathlib import Path
from typing import Any

from entviz.text.windows import Windows, windows_from_token_ids

FIGURES: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "parity_smollm2.json").read_text())


def measured_windows(count: int = 4) -> Windows:
    """The first of the four windows of 256 tokens that the figures are for."""
    return windows_from_token_ids(FIGURES["windows"][:count], 49152)
