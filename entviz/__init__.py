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

import lazy_loader

from entviz.version import __version__

# By default, torch's OpenMP threads spin for a long time while they wait for each other. If another process computes at
# the same time, they thereby block the processor for the thread that they wait for. Without any spinning, each of the
# many short steps of an analysis has to wake a thread. So they spin briefly (GNU OpenMP: tens of microseconds) and then
# sleep. OpenMP reads this once, when torch is first imported. A user's own setting is kept.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Each name is imported when it is first used; ``__init__.pyi`` lists the modules.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
