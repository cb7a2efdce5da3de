"""Model work in the background: a bounded queue, one job computing at a time, a fair share for every session.

worker = Worker("cpu")
job = worker.submit("count", lambda progress: count(progress), session="tab-1", slot="evaluate")
view = job.snapshot()          # one consistent moment: state, done, total, partial, error, position
job.touch("tab-1")             # a polling page says that it still waits
job.wait(); job.result         # the result, or the error raised
"""

from entviz.runtime.queue.derived import Derived
from entviz.runtime.queue.job import Job, Snapshot
from entviz.runtime.queue.worker import QueueFull, Turn, Worker

__all__ = ["Derived", "Job", "QueueFull", "Snapshot", "Turn", "Worker"]
