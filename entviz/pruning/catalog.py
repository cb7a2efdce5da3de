"""The criteria by name, for whoever lists them: nothing here needs torch.

CRITERIA["entrodrop"].source
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from entviz.errors import OptionError


@dataclass(frozen=True)
class Criterion:
    """A rule for choosing blocks.

    Attributes:
        title: its name for a reader.
        source: where it was published.
        level: the level it was published for, used unless another is asked for.
        levels: the levels at which it makes sense.
        tries: whether it runs the model without blocks, which takes much longer than measuring.
    """

    title: str
    source: str
    level: str
    levels: tuple[str, ...] = ("layer", "attn", "mlp", "attn+mlp")
    tries: bool = False


CRITERIA = MappingProxyType(
    {
        "entrodrop": Criterion("EntroDrop", "Yang et al. 2025, arXiv:2504.03794", "attn"),
        "cosine": Criterion("Cosine (LLM-Drop)", "He et al. 2024, arXiv:2406.15786", "attn"),
        "block-influence": Criterion(
            "Block Influence (ShortGPT)", "Men et al. 2024, arXiv:2403.03853", "layer"
        ),
        "angular-distance": Criterion(
            "Angular distance", "Gromov et al. 2024, arXiv:2403.17887", "layer", levels=("layer",)
        ),
        "leave-one-out": Criterion(
            "Leave-one-out loss", "the damage of each block alone", "attn", tries=True
        ),
        "sleb": Criterion("Greedy by loss (SLEB)", "Song et al. 2024, arXiv:2402.09025", "layer", tries=True),
        "finercut": Criterion(
            "Greedy by divergence (FinerCut)", "Zhang et al. 2024, arXiv:2405.18218", "attn+mlp", tries=True
        ),
        "last": Criterion("The last blocks", "a baseline", "attn"),
        "random": Criterion("Random", "a baseline", "attn"),
        "search": Criterion("Search (entviz)", "entviz.pruning.search", "attn", tries=True),
    }
)
# Those whose scores an analysis holds, so that they need nothing else.
FROM_ANALYSIS = ("entrodrop", "cosine", "block-influence")


def criterion(name: str) -> Criterion:
    """The criterion of that name; raises ``OptionError`` where there is none."""
    if name not in CRITERIA:
        raise OptionError(f"'{name[:60]}' is not a criterion: choose from {', '.join(CRITERIA)}.")
    return CRITERIA[name]
