"""entviz: how a decoder language model's entropy changes with depth, and what it costs to drop blocks.

    import entviz
    loaded = entviz.load("smollm2-135m")
    windows = entviz.windows_from_text(text, loaded.tokenizer, windows=4, window_length=128)
    analysis = entviz.analyze(loaded, windows)
    ranking = entviz.rank(loaded, windows, "entrodrop", estimator="knn", level="attn", budget=8, analysis=analysis)
    entviz.evaluate(loaded, windows, ranking.drop).perplexity
    entviz.generate(loaded, "Once upon a time", ranking.drop).text

Importing the package is quick: torch and transformers are imported when a name that needs them is first used.
A program that imports torch itself imports entviz first, or sets ``OMP_WAIT_POLICY=passive``: see below.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from entviz.blocks import Block, PruneSet
from entviz.errors import EntvizError
from entviz.version import __version__

if TYPE_CHECKING:
    from entviz.analysis import Analysis, analyze
    from entviz.criteria.choosing import rank
    from entviz.criteria.ranking import Ranking
    from entviz.decoder.states import StateCache
    from entviz.evaluation.generation import Generation, generate
    from entviz.evaluation.loss import Evaluation, evaluate
    from entviz.models.loaded import LoadedModel
    from entviz.models.loading import load
    from entviz.text.windows import Windows, windows_from_text, windows_from_token_ids

# Threads of OpenMP, which torch computes with, by default spin for long while they wait for one another. Beside another
# process that computes, they so keep the processor from the very thread that they wait for. Without any spinning, each
# of the many short steps of an analysis pays for waking a thread. So they spin briefly (GNU OpenMP: tens of
# microseconds) and then sleep. OpenMP reads this once, when torch is first imported; what the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

_HOMES = {
    "Analysis": "entviz.analysis",
    "analyze": "entviz.analysis",
    "Windows": "entviz.text.windows",
    "windows_from_text": "entviz.text.windows",
    "windows_from_token_ids": "entviz.text.windows",
    "Generation": "entviz.evaluation.generation",
    "generate": "entviz.evaluation.generation",
    "Evaluation": "entviz.evaluation.loss",
    "evaluate": "entviz.evaluation.loss",
    "LoadedModel": "entviz.models.loaded",
    "load": "entviz.models.loading",
    "Ranking": "entviz.criteria.ranking",
    "rank": "entviz.criteria.choosing",
    "StateCache": "entviz.decoder.states",
}

__all__ = [
    "Analysis",
    "Block",
    "EntvizError",
    "Evaluation",
    "Generation",
    "LoadedModel",
    "PruneSet",
    "Ranking",
    "StateCache",
    "Windows",
    "__version__",
    "analyze",
    "evaluate",
    "generate",
    "load",
    "rank",
    "windows_from_text",
    "windows_from_token_ids",
]


def __getattr__(name: str) -> Any:
    """Import the public names that need torch only once they are used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'entviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
