"""The work that is counted is the work that is done: the blocks that really run, window by window."""

import random

import pytest

from entviz.blocks import PruneSet, all_blocks
from entviz.decoder.states import StateCache
from entviz.evaluation.many import evaluate_many
from entviz.evaluation.pace import Pace, pace
from entviz.evaluation.work import NOTHING, Work, of_dense, of_many
from entviz.models.loaded import LoadedModel
from tests.comparison.windows import random_windows
from tests.tiny import build

LAYERS, WINDOWS = 5, 3


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", layers=LAYERS), None, "tiny")


@pytest.fixture
def run(tiny):
    """Windows that went through attentions and MLPs, as these modules themselves were called."""
    counts = {"attention": 0, "mlp": 0}
    handles = []
    for layer in tiny.model.model.layers:
        for name, module in (("attention", layer.self_attn), ("mlp", layer.mlp)):

            def count(module, arguments, options, name=name):
                counts[name] += len([*arguments, *options.values()][0])

            handles.append(module.register_forward_pre_hook(count, with_kwargs=True))
    yield counts
    for handle in handles:
        handle.remove()


def some_sets(seed):
    draw = random.Random(seed)
    blocks = all_blocks(LAYERS, ("attn", "mlp"))
    return [PruneSet(draw.sample(blocks, draw.randint(1, 4))) for _ in range(6)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("begun", [True, False], ids=["dense states known", "not known"])
def test_prune_sets_share_just_the_blocks_that_are_counted_once(tiny, run, seed, begun):
    windows, prune_sets = random_windows(WINDOWS, seed), some_sets(seed)
    cache = StateCache(10**9)
    evaluate_many(tiny, windows, [PruneSet()], cache=cache)
    if not begun:  # the dense predictions alone
        dense = [item for item in cache._entries.items() if item[0][0] == "dense"]
        cache = StateCache(10**9)
        for key, tensors in dense:
            cache.put(key, *tensors)
    run.update(attention=0, mlp=0)
    evaluate_many(tiny, windows, prune_sets, cache=cache)
    found = of_many(prune_sets, LAYERS, WINDOWS, begun=begun)
    assert (found.attentions, found.mlps) == (run["attention"], run["mlp"])
    assert found.projections == len(set(prune_sets)) * WINDOWS


def test_the_dense_model_runs_every_block(tiny, run):
    evaluate_many(tiny, random_windows(WINDOWS, 1), [PruneSet()])
    found = of_dense(LAYERS, WINDOWS)
    # The dense predictions run them once, and the walk that follows finds no states in a cache that keeps none.
    assert (2 * found.attentions, 2 * found.mlps) == (run["attention"], run["mlp"])


def test_work_adds_up_and_takes_its_time_at_a_pace():
    one, other = Work(1, 2, 3, 4, 5, 6, 7), Work(attentions=10, seconds=1)
    assert one + other == Work(11, 2, 3, 4, 5, 6, 8)
    assert one * 2 == Work(2, 4, 6, 8, 10, 12, 14)
    assert sum([NOTHING, one], NOTHING) == one
    found = Pace(attention=0.1, mlp=0.2, projection=0.3, reference=0.4, alone=0.5, site=0.6)
    assert found.seconds(one) == pytest.approx(0.1 + 0.4 + 0.9 + 1.6 + 2.5 + 3.6 + 7)


def test_a_pace_is_of_each_part_and_can_be_stopped(tiny):
    found = pace(tiny, random_windows(WINDOWS, 1), metrics=("bucket", "cosine"))
    assert min(found.attention, found.mlp, found.projection, found.reference, found.alone, found.site) > 0
    assert pace(tiny, random_windows(WINDOWS, 1), metrics=()).site == 0

    def stop(done, total, partial=None, /):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pace(tiny, random_windows(WINDOWS, 1), progress=stop)
