"""Requests for the tests of the runtime: little work, on the default model."""

from entviz.blocks import PruneSet
from entviz.studies import Evaluate, Generate, Prompt, ScoreTask, TaskItems, TextSample

MODEL = "smollm2-135m"


TEXT = (
    "The harbour lay quiet before dawn, and the tide had gone out so far that the boats leaned on their keels in the "
    "mud. A woman with a lantern walked along the wall, counting the ropes as her father had taught her, and at the "
    "last ring she stopped, because there was one rope more than there had been the evening before. She put the "
    "lantern down. Somewhere out in the fog an engine turned over, coughed twice, and went silent again. "
) * 2


SAMPLE = TextSample(MODEL, TEXT, windows=2, window_length=40)


def result_of(job):
    assert job.wait(120), job.snapshot()
    return job.result


def evaluation(sample, drop="", dtype="float32"):
    return Evaluate(sample, PruneSet.parse(drop), dtype)


def generation_of(sample, prompt, drop, count):
    return Generate(Prompt(sample.model, prompt), PruneSet.parse(drop), count)


def scoring(model, task, drop="", limit=None):
    return ScoreTask(TaskItems(model, task, limit), PruneSet.parse(drop))
