"""What a page calls: hand it a study, get a job at once.

    sample = TextSample("smollm2-135m", text, windows=4, window_length=128)
    job = runtime().ask(Evaluate(sample, PruneSet.parse("attn.5,layer.7")), session)
    job.snapshot()                 # state, progress, and the evaluation so far

A result that was computed before is there at once, without the model being loaded. There is one runtime in a
process, :func:`runtime`. Its limits are taken from the environment when it is first used:

    ENTVIZ_MODELS_KEPT=2           models in memory at a time; the least recently used is let go
    ENTVIZ_STATES_MB               hidden states kept to start evaluations from (default 1000, or a tenth of memory)
    ENTVIZ_STORE_MB=500            results on disk; the least recently used are removed
    ENTVIZ_LIVE_JOBS=32            jobs that may have started and not finished
    ENTVIZ_QUEUED_JOBS=200         jobs that may be unfinished in all
    ENTVIZ_SESSION_JOBS=8          jobs that one browser session may have unfinished
    ENTVIZ_DATABASE                where results are kept, as a SQLAlchemy URL (default: in the cache directory)
    ENTVIZ_CACHE                   the cache directory
    ENTVIZ_EXPORTS                 where exports asked for on the page go (default: in the cache directory)
    ENTVIZ_EXPORTS_MB=20000        what may lie there
    ENTVIZ_DOWNLOAD_MB=20000       what one model may take to download from the hub
"""

from entviz.runtime.process import runtime
from entviz.runtime.runtime import Runtime

__all__ = ["Runtime", "runtime"]
