"""What is asked for in tests of the workbench: little work, on the default model."""

from entviz.workbench import Request

MODEL = "smollm2-135m"


TEXT = (
    "The harbour lay quiet before dawn, and the tide had gone out so far that the boats leaned on their keels in the "
    "mud. A woman with a lantern walked along the wall, counting the ropes as her father had taught her, and at the "
    "last ring she stopped, because there was one rope more than there had been the evening before. She put the "
    "lantern down. Somewhere out in the fog an engine turned over, coughed twice, and went silent again. "
) * 2


REQUEST = Request(MODEL, TEXT, windows=2, window_length=40)


def result_of(job):
    assert job.wait(120), job.snapshot()
    return job.result
