"""An evaluation beside processes that keep every processor busy: a fair share is twice its time alone."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

import psutil
import torch

from benchmarks.timing import Figure, seconds
from entviz.blocks import PruneSet
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text

_REPEATS = 7
# It computes as long as the process that started it lives.
_ENDLESS = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def busy(loaded: LoadedModel) -> list[Figure]:
    """Evaluate 2 x 128 tokens in turn alone and beside as many busy processes as torch has threads."""
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=2, window_length=128)
    drop = PruneSet.parse("attn.5,layer.7")
    count = torch.get_num_threads()
    pairs = []
    with neighbours(count) as others:
        evaluate(loaded, text, drop)
        for _ in range(_REPEATS):
            alone = seconds(lambda: evaluate(loaded, text, drop))
            for other in others:
                other.resume()
            beside = seconds(lambda: evaluate(loaded, text, drop))
            for other in others:
                other.suspend()
            pairs.append((beside, alone))
    ratio = median(beside / alone for beside, alone in pairs)
    value, base = (median(column) for column in zip(*pairs, strict=True))
    name = f"evaluation of 2 x 128 tokens beside {count} busy processes"
    return [Figure(name, value, "the same alone; the machine must be idle otherwise", base, ratio, 2.2)]


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[list[psutil.Process]]:
    """Processes that compute without an end once they are resumed."""
    with contextlib.ExitStack() as stack:
        others = []
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", _ENDLESS])
            stack.callback(process.wait)
            stack.callback(process.kill)
            others.append(psutil.Process(process.pid))
            others[-1].suspend()
        yield others
