"""Requests computed in a child process, so that one that ends the process ends no more than itself.

    engine = Apart(store, Settings(models_kept=2, states_bytes=None))
    engine.compute(AnswerStudy(study, key), turn)

``engine.py`` starts the child and starts another one if it has died. ``conducting.py`` serves one request in the
server: it passes each report of the child to the job's turn, and each call of the store to the store. ``child.py`` is
the child's program. ``messages.py`` says what they say to each other, and ``pipe.py`` carries it.
"""

from entviz.runtime.apart.engine import Apart
from entviz.runtime.apart.process import Settings

__all__ = ["Apart", "Settings"]
