"""The interface for pages: pass a study and get a job immediately.

    sample = TextSample("smollm2-135m", text, windows=4, window_length=128)
    job = runtime().ask(Evaluate(sample, PruneSet.parse("attn.5,layer.7")), session)
    job.snapshot()                 # state, progress, and the evaluation so far

A result that was computed before is available immediately, without loading the model. There is one runtime in a
process, :func:`runtime`. Its limits are taken from the environment when it is first used:

    ENTVIZ_PROCESS_APART=1         whether models are in a child process; 0 to compute in this process
    ENTVIZ_MODELS_KEPT=2           models in memory at a time; the least recently used is removed
    ENTVIZ_STATES_MB               hidden states kept to start evaluations from (default 1000, or a tenth of memory)
    ENTVIZ_STORE_MB=500            results on disk; the least recently used are removed
    ENTVIZ_LIVE_JOBS=32            jobs that have started and not finished
    ENTVIZ_QUEUED_JOBS=200         unfinished jobs in total
    ENTVIZ_SESSION_JOBS=8          unfinished jobs of one browser session
    ENTVIZ_DATABASE                database of results, as a SQLAlchemy URL (default: a file in the cache directory)
    ENTVIZ_CACHE                   the cache directory
    ENTVIZ_EXPORTS                 directory for exports from the page (default: in the cache directory)
    ENTVIZ_EXPORTS_MB=20000        total size of these exports
    ENTVIZ_DOWNLOAD_MB=20000       size of the download of one model from the hub
"""

from entviz.runtime.process import runtime
from entviz.runtime.runtime import Runtime

__all__ = ["Runtime", "runtime"]
