"""Print every performance figure beside its baseline, and write them to benchmarks/latest.json.

python -m benchmarks                     # about half an hour on two cores
python -m benchmarks analysis live       # some of: analysis memory live apart many precision generation busy
                                         # estimates damages repairs
python -m benchmarks startup clicks      # in a browser, so these need what `make test` installs and must be named
python -m benchmarks workers             # with Ray, so it too must be named
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from benchmarks.apart import apart
from benchmarks.busy import busy
from benchmarks.ceiling import ceiling
from benchmarks.clicks import clicks
from benchmarks.damages import damages, damages_on_the_page
from benchmarks.estimates import estimates
from benchmarks.memory import memory
from benchmarks.reference import analyze_plainly
from benchmarks.repairs import repairs
from benchmarks.startup import startup
from benchmarks.timing import Figure, paired, seconds
from benchmarks.workers import workers
from entviz import kernels
from entviz.analysis import analyze
from entviz.blocks import Block, PruneSet, all_blocks
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.states import StateCache
from entviz.errors import Cancelled
from entviz.evaluation.generation import generate
from entviz.evaluation.loss import evaluate
from entviz.evaluation.many import evaluate_many
from entviz.evaluation.speed import timed
from entviz.models import LoadedModel, load
from entviz.text.passages import passages
from entviz.text.windows import Windows, windows_from_text

LENGTH = 256


def main(names: list[str]) -> None:
    """Run the sections named, or all of them."""
    loaded = load()
    body_pass(loaded, windows(loaded, 1))()  # what is found out about a model once, no figure shall pay for
    figures: list[Figure] = []
    print(f"{'':<58}{'measured':>12}{'baseline':>12}{'ratio':>8}{'bound':>8}", flush=True)
    for name in names or [name for name in SECTIONS if name not in IN_A_BROWSER + WITH_RAY]:
        for figure in SECTIONS[name](loaded):
            figures.append(figure)
            bound = "" if figure.bound is None else f"{figure.bound:.2f}"
            verdict = {None: "", True: "  holds", False: "  MISSED"}[figure.holds]
            print(
                f"{figure.name:<58}{figure.value:>10.3f} {figure.unit}{figure.baseline:>10.3f} {figure.unit}"
                f"{figure.ratio:>8.3f}{bound:>8}{verdict}\n  beside {figure.baseline_name}",
                flush=True,
            )
    machine = {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    path = Path(__file__).parent / "latest.json"
    path.write_text(
        json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=1)
    )
    print(f"Written to {path}.")


def windows(loaded: LoadedModel, count: int) -> Windows:
    """``count`` windows of the built-in passages, which are repeated as often as that takes."""
    text = "\n\n".join(passage.text for passage in passages().values())
    return windows_from_text(text * (1 + count // 12), loaded.tokenizer, windows=count, window_length=LENGTH)


def body_pass(loaded: LoadedModel, text: Windows) -> Callable[[], None]:
    """A bare forward pass through the decoder body, by the model's own code, in the batches entviz uses."""
    body, size = loaded.model.base_model, windows_per_batch(loaded.anatomy, LENGTH)

    def run() -> None:
        with torch.inference_mode():
            for _, token_ids in batches(text.token_ids, size):
                body(input_ids=token_ids.to(loaded.device), use_cache=False)

    return run


def analysis(loaded: LoadedModel) -> list[Figure]:
    """Analysis of 16 x 256 tokens at all sites beside a bare forward pass of the same tokens."""
    text = windows(loaded, 16)
    bare, name = body_pass(loaded, text), "a bare float32 pass of the same 16 x 256 tokens through the body"
    three = ("bucket", "knn", "cosine")
    few = windows(loaded, 2)
    return [
        paired(
            "analysis: bucket, knn, cosine",
            lambda: analyze(loaded, text, three),
            name,
            bare,
            bound=1.15,
            repeats=10,
        ),
        paired(
            "analysis: with renyi too",
            lambda: analyze(loaded, text, (*three, "renyi")),
            name,
            bare,
            bound=1.25,
            repeats=10,
        ),
        paired(
            "analysis of 2 x 256 tokens: bucket, knn, cosine",
            lambda: analyze(loaded, few, three),
            "a plain implementation: one-hot counts, a window at a time, nothing shared",
            lambda: analyze_plainly(loaded, few.token_ids),
            repeats=2,
        ),
        ceiling(loaded, text, three),
        *_pruned_analyses(loaded),
    ]


def _pruned_analyses(loaded: LoadedModel) -> list[Figure]:
    """The analysis of a pruned model, begun at the first dropped block, beside that share of a dense one."""
    text, states = windows(loaded, 4), StateCache()
    dense, layers = analyze(loaded, text), loaded.anatomy.layers

    def without(layer: int) -> None:
        analyze(loaded, text, drop=PruneSet([Block("attn", layer)]), dense=dense, cache=states)

    return [
        paired(
            f"analysis of 4 x 256 tokens without attn.{layer}, the dense one being known",
            partial(without, layer),
            f"{layers - layer}/{layers} of a dense analysis",
            lambda: analyze(loaded, text),
            scale=(layers - layer) / layers,
            bound=1.10,
        )
        for layer in (5, 15, 25)
    ]


def live(loaded: LoadedModel) -> list[Figure]:
    """A new tick, a tick seen before, the first number and cancelling, on 8 x 256 tokens."""
    kernels.load()  # as on the Prune page, where an analysis has needed them
    text, cache = windows(loaded, 8), StateCache(10**9)
    layers, bare = loaded.layers, body_pass(loaded, text)
    evaluate(loaded, text, PruneSet(), cache=cache)
    head = _projection(loaded, text)
    figures = []
    for layer in (5, 15, 25):
        share = (layers - layer) / layers
        runs = []
        for kind in ("attn", "mlp", "layer"):
            drop = PruneSet([Block(kind, layer)])
            allowed = share * seconds(bare) + seconds(head)
            runs.append((seconds(lambda drop=drop: evaluate(loaded, text, drop, cache=cache)), allowed))
        ratio = median(mine / allowed for mine, allowed in runs)
        value, allowed = (median(column) for column in zip(*runs, strict=True))
        name = f"a tick at layer {layer}"
        figures.append(
            Figure(name, value, f"{share:.2f} of a body pass + the projection", allowed, ratio, 1.1)
        )
    seen = PruneSet([Block("attn", 15)])
    again = seconds(lambda: evaluate(loaded, text, seen, cache=cache))
    figures.append(
        Figure("back to a prune set seen before", again, "the bound of 50 ms", 0.05, again / 0.05, 1)
    )
    back = seconds(lambda: evaluate(loaded, text, PruneSet(), cache=cache))
    figures.append(Figure("unticking, back to dense", back, "the bound of 50 ms", 0.05, back / 0.05, 1))
    firsts = [
        _first_number(loaded, text, PruneSet([Block("attn", layer)]), cache) for layer in range(1, 29, 3)
    ]
    first = median(firsts)
    figures.append(
        Figure("first number after a tick, median", first, "the bound of 0.5 s", 0.5, first / 0.5, 1)
    )
    gap = max(_longest_gap(loaded, text, PruneSet([Block("attn", layer)])) for layer in (2, 12))
    figures.append(
        Figure("longest time between chances to cancel", gap, "the bound of 100 ms", 0.1, gap / 0.1, 1)
    )
    return figures


def many(loaded: LoadedModel) -> list[Figure]:
    """Leaving out each of the 90 blocks in turn, beside 90 evaluations."""
    text, cache = windows(loaded, 2), StateCache(10**9)
    blocks = [PruneSet([block]) for block in all_blocks(loaded.layers)]
    sample = blocks[4::9]
    evaluate(loaded, text, PruneSet(), cache=cache)

    def one_by_one() -> None:
        for drop in sample:
            # A cache of its own keeps the dense predictions but no hidden states to start from.
            fresh = StateCache(10**9)
            for key, value in list(cache._entries.items()):
                if isinstance(key, tuple) and key[0] == "dense":
                    fresh.put(key, *value)
            evaluate(loaded, text, drop, cache=fresh)

    return [
        paired(
            f"leave-one-out of {len(blocks)} blocks, 2 x 256 tokens",
            lambda: evaluate_many(loaded, text, blocks, cache=cache),
            f"{len(blocks)} full evaluations (from a sample of {len(sample)})",
            one_by_one,
            scale=len(blocks) / len(sample),
            bound=0.65,
            repeats=2,
        )
    ]


def precision(loaded: LoadedModel) -> list[Figure]:
    """bfloat16 beside float32: time, and the difference in loss."""
    text, drop = windows(loaded, 4), PruneSet.parse("attn.7,attn.25")
    evaluate(
        loaded, windows(loaded, 1), drop, dtype="bfloat16"
    )  # makes the copy, which no figure shall pay for
    figure = paired(
        "evaluation in bfloat16",
        lambda: evaluate(loaded, text, drop, dtype="bfloat16"),
        "the same in float32",
        lambda: evaluate(loaded, text, drop),
        repeats=3,
    )
    exact, rough = (evaluate(loaded, text, drop, dtype=dtype).nll for dtype in ("float32", "bfloat16"))
    difference = abs(exact - rough)
    return [
        figure,
        Figure("loss in bfloat16 less in float32", difference, "loss", exact, difference / exact, None, "n"),
    ]


def generation(loaded: LoadedModel) -> list[Figure]:
    """Decoding with a third of the layers dropped, beside dense."""
    drop = PruneSet.parse(",".join(f"layer.{i}" for i in range(10, 20)))
    prompt, figures = "The quick brown fox", []
    for name, cached in (("with", True), ("without", False)):
        written = generate(loaded, prompt, drop, max_new_tokens=24, use_cache=cached)
        dense, pruned = timed(loaded, written, use_cache=cached).writing_seconds or ((), ())
        ratio = median(mine / other for mine, other in zip(pruned, dense, strict=True))
        figures.append(
            Figure(
                f"a token {name} KV cache, 10 of 30 layers dropped",
                median(pruned),
                "a dense token, in turn with it",
                median(dense),
                ratio,
                None,
            )
        )
    return figures


def _projection(loaded: LoadedModel, text: Windows) -> Callable[[], None]:
    """The vocabulary projection of every scored position and its log-sum-exp, in chunks."""
    head = loaded.anatomy.head
    states = torch.randn(len(text) * (LENGTH - 1), loaded.width).to(loaded.device, loaded.dtype)

    def run() -> None:
        with torch.inference_mode():
            for chunk in states.split(256):
                head.logits(chunk).float().logsumexp(-1)

    return run


def _first_number(loaded: LoadedModel, text: Windows, drop: PruneSet, cache: StateCache) -> float:
    """Seconds until the first partial result."""

    def stop(done: int, total: int, partial: object = None, /) -> None:
        if partial is not None:
            raise Cancelled

    def run() -> None:
        with contextlib.suppress(Cancelled):
            evaluate(loaded, text, drop, cache=cache, progress=stop)

    return seconds(run)


def _longest_gap(loaded: LoadedModel, text: Windows, drop: PruneSet) -> float:
    """The longest time between two reports of progress, which is where an evaluation can be cancelled."""
    times = [perf_counter()]
    evaluate(loaded, text, drop, progress=lambda done, total, partial=None: times.append(perf_counter()))
    return max(late - early for early, late in pairwise(times))


SECTIONS: dict[str, Callable[[LoadedModel], list[Figure]]] = {
    "analysis": analysis,
    "memory": memory,
    "live": live,
    "apart": apart,
    "many": many,
    "precision": precision,
    "generation": generation,
    "busy": busy,
    "estimates": estimates,
    "damages": damages,
    "repairs": repairs,
    "startup": startup,
    "clicks": clicks,
    "damages-on-the-page": damages_on_the_page,
    "workers": workers,
}
IN_A_BROWSER = ("startup", "clicks", "damages-on-the-page")
WITH_RAY = ("workers",)

if __name__ == "__main__":
    main(sys.argv[1:])
