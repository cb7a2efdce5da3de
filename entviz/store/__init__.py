"""Results computed before, in memory and in a database, so that nothing is computed twice.

    store = Store(result_type)                               # ENTVIZ_DATABASE, or a file in the cache directory
    key = result_key("evaluation", model=..., tokens=..., options={"drop": "attn.5"})
    store.put(key, Run("evaluation", "smollm2-135m", ...), evaluation)
    store.get(key)                                           # the evaluation, or None
    store.runs(kind="evaluation")                            # the stored runs, newest first

A result is a function of the model's fingerprint, the token ids, the options and the program, and is stored under the
hash of these. A store never raises an error because of the database. It deletes a result only on request or when its
size limit is reached. While the database cannot be used, results are kept in memory (``store.trouble`` says why) and
written later.
"""

from entviz.store.keys import program, request_key, result_key
from entviz.store.runs import Run, Store

__all__ = ["Run", "Store", "program", "request_key", "result_key"]
