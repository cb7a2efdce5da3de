"""Views of a shared model: they compute something else and never change the model, whatever the number of threads."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from entviz.analysis import analyze
from entviz.blocks import PruneSet
from entviz.decoder.views import replaced, with_own_buffers
from entviz.evaluation.generation import generate
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.models.loaded import fingerprint
from entviz.text.windows import windows_from_token_ids
from tests.models.files import tokenizer
from tests.parity import measured_windows
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))


class TestReplaced:
    def test_only_what_is_on_the_way_is_copied(self):
        network = small_network()
        view = replaced(network, {"1.0": Doubled()})
        assert isinstance(view[1][0], Doubled)
        assert isinstance(network[1][0], nn.ReLU)
        assert view[0] is network[0]
        assert view[1][1] is network[1][1]
        x = torch.randn(5, 3)
        assert torch.equal(view(x), network[1][1](2 * network[0](x)))

    def test_several_places_and_the_root(self):
        network, root = small_network(), Doubled()
        view = replaced(network, {"0": nn.Identity(), "1.1": Doubled()})
        assert torch.equal(view(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 4.0]))
        assert replaced(network, {"": root}) is root

    @pytest.mark.parametrize("path", ["2", "1.7", "0.weight"])
    def test_a_path_that_does_not_exist(self, path):
        with pytest.raises(KeyError):
            replaced(small_network(), {f"{path}.inner": Doubled()})

    def test_buffers_of_one_s_own(self):
        norm = nn.Sequential(nn.BatchNorm1d(3))
        before = {name: value.clone() for name, value in norm.state_dict().items()}
        view = with_own_buffers(norm).train()
        view(torch.randn(8, 3) + 5)
        assert view[0].running_mean.abs().max() > 0.1
        assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
        assert view[0].weight is norm[0].weight


# --- one model, many threads -----------------------------------------------------------------------------------------

DROPS = ["", "layer.0", "attn.0", "attn.3", "mlp.1", "layer.3", "attn.1,mlp.2", "layer.1,attn.2"]
# Rotary embeddings that stretch with the text write to the model as they run, which is where threads would meet.
STRETCHING = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of the works returns when all start together, each in a thread of its own."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(place: int) -> None:
        start.wait()
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def appearance(model: nn.Module) -> Any:
    """All that a call could have left on a model: its weights, its modules, hooks, attributes."""
    modules = dict(model.named_modules())
    return (
        fingerprint(model),
        {name: id(module) for name, module in modules.items()},
        {name: sorted(module.__dict__) for name, module in modules.items()},
        [name for name, module in modules.items() if module._forward_hooks or module._forward_pre_hooks],
        {name: value.sum().item() for name, value in model.named_buffers()},
        model.training,
        model.config.to_dict(),
    )


@pytest.mark.parametrize("architecture", [*OPTIONS, "stretching"])
def test_eight_prune_sets_at_once_give_the_numbers_of_each_alone(architecture):
    if architecture == "stretching":
        model = build("llama", max_position_embeddings=16, **STRETCHING)
    else:
        model = build(architecture)
    loaded = LoadedModel.of(model, tokenizer())
    rows = torch.randint(3, VOCABULARY_SIZE, (8, 3, 40), generator=torch.Generator().manual_seed(1))
    texts = [windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE) for ids in rows]
    drops = [PruneSet.parse(text) for text in DROPS]

    def works():
        for drop, text in zip(drops, texts, strict=True):
            yield lambda drop=drop, text=text: (
                evaluate(loaded, text, drop).per_window_nll,
                generate(loaded, "Once", drop, max_new_tokens=8).token_ids,
            )

    alone = [work() for work in works()]
    before = appearance(model)
    for _ in range(3):
        for (loss, ids), (loss_alone, ids_alone) in zip(at_once(list(works())), alone, strict=True):
            assert loss == pytest.approx(loss_alone, abs=1e-6)
            assert ids == ids_alone
    assert appearance(model) == before
    assert len({tuple(loss) for loss, _ in alone}) == len(DROPS)  # they do differ


def test_eight_prune_sets_of_the_default_model_at_once(smollm2):
    windows = windows_from_token_ids([row[:48] for row in measured_windows(2).token_ids.tolist()], 49152)
    drops = [PruneSet.parse(text) for text in ["", *DROPS[1:6], "attn.25,attn.26", "layer.10,mlp.3"]]
    before = appearance(smollm2.model)
    works = [lambda drop=drop: evaluate(smollm2, windows, drop) for drop in drops]
    alone = [work() for work in works]
    for together, single in zip(at_once(works), alone, strict=True):
        assert together.per_window_nll == pytest.approx(single.per_window_nll, abs=1e-6)
        assert together.kl == pytest.approx(single.kl, abs=1e-6)
        assert together.dense_nll == pytest.approx(alone[0].nll, abs=1e-6)
    assert appearance(smollm2.model) == before


def test_measuring_and_evaluating_at_once_disturb_neither():
    loaded = LoadedModel.of(build("gemma3_text"), tokenizer())
    ids = torch.randint(3, VOCABULARY_SIZE, (6, 40), generator=torch.Generator().manual_seed(2))
    windows = windows_from_token_ids(ids.tolist(), VOCABULARY_SIZE)
    metrics = ("bucket", "cosine")

    def measure():
        return [row["per_window"] for row in analyze(loaded, windows, metrics).to_json()["sites"]]

    def cost():
        return evaluate(loaded, windows, PruneSet.parse("attn.1,layer.2")).per_window_nll

    measured, cost_alone = measure(), cost()
    for place, found in enumerate(at_once([measure, cost] * 3)):
        wanted = cost_alone if place % 2 else measured
        assert found == pytest.approx(wanted, abs=1e-6) if place % 2 else found == wanted
