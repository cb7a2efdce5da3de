"""Requests computed in a child process, so that one that ends the process ends no more than itself.

    engine = Apart(store, Settings(models_kept=2, states_bytes=None))
    engine.compute(AnswerStudy(study, key), turn)

``engine.py`` starts the child and starts another one if it has died. ``conducting.py`` serves one request in the
server: it passes each report of the child to the job's turn, and each call of the store to the store. ``asking.py`` is
its counterpart in the child. ``messages.py`` says what they say to each other. None of these knows of pipes:
``process.py`` and ``child.py`` are the two ends of one, and ``pipe.py`` is what messages go through.
"""

from entviz.runtime.apart.engine import Apart
from entviz.runtime.apart.process import Settings

__all__ = ["Apart", "Settings"]
