"""The parts of a model: blocks, sites and cost of every architecture against copies altered by hand."""

from functools import cache

import pytest
import torch
from torch import nn

from entviz.blocks import Block, PruneSet, all_blocks, site_names
from entviz.decoder.anatomy import examine
from entviz.errors import ModelError, TextError
from entviz.evaluation.generation import generate
from entviz.evaluation.loss import evaluate
from entviz.models import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.altered import PARTS, losses, read_sites, without
from tests.models.files import tokenizer
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

LAYERS = 4
# First, middle and last; alone, together and mixed; as little left as there can be.
DROPS = [
    *map(str, all_blocks(LAYERS)),
    "attn.0,mlp.2",
    "attn.1,mlp.1,mlp.3",
    "layer.0,layer.3",
    "layer.0,attn.1,mlp.3",
    "layer.1,layer.2",
    "attn.0,attn.1,attn.2,attn.3",
    "mlp.0,mlp.1,mlp.2,mlp.3",
    "layer.0,layer.1,layer.2,attn.3",
    "layer.1,layer.2,layer.3,mlp.0",
]
DROPS_WHILE_GENERATING = [
    "",
    "layer.0",
    "attn.0",
    "mlp.0",
    "layer.0,attn.1,mlp.3",
    "attn.0,attn.1,attn.2,attn.3",
    "layer.0,layer.1,layer.2",
    "layer.3",
]
architectures = pytest.mark.parametrize("architecture", OPTIONS)


@cache
def tiny(architecture: str) -> LoadedModel:
    return LoadedModel.of(build(architecture, LAYERS), tokenizer(), architecture)


@cache
def token_ids() -> torch.Tensor:
    """Three windows of 24 tokens, longer than the sliding windows of the models that have them."""
    generator = torch.Generator().manual_seed(5)
    return torch.randint(3, VOCABULARY_SIZE, (3, 24), generator=generator)


@cache
def windows():
    return windows_from_token_ids(token_ids().tolist(), VOCABULARY_SIZE)


def test_every_architecture_is_altered_by_hand_too():
    assert set(PARTS) == set(OPTIONS)


@architectures
def test_loss_without_blocks_is_that_of_an_altered_copy(architecture):
    loaded = tiny(architecture)
    dense = losses(loaded.model, token_ids())
    for text in DROPS:
        drop = PruneSet.parse(text)
        wanted = losses(without(loaded.model, drop), token_ids())
        found = evaluate(loaded, windows(), drop)
        assert found.per_window_nll == pytest.approx(wanted.tolist(), rel=2e-5, abs=2e-5), text
        assert found.dense_token_nll.mean(axis=1) == pytest.approx(dense.tolist(), rel=2e-5, abs=2e-5)
        assert (wanted - dense).abs().max() > 1e-3, f"dropping {text} makes no difference to be seen"


@architectures
def test_sites_are_what_hooks_on_the_model_see(architecture):
    loaded = tiny(architecture)
    wanted = read_sites(loaded.model, token_ids())
    anatomy = loaded.anatomy
    with torch.inference_mode():
        hidden, calls = anatomy.begin(token_ids())
        found = {"embed": hidden}
        for i, (step, call) in enumerate(zip(anatomy.split_layers, calls, strict=True)):
            found[f"attn.{i}"], hidden = step.trace(hidden, call)
            found[f"layer.{i}"] = hidden
    assert list(found) == site_names(LAYERS)
    assert set(wanted) == set(found)
    for site, states in found.items():
        torch.testing.assert_close(states, wanted[site], rtol=1e-4, atol=1e-4 * float(states.abs().max()))


@architectures
@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_continuation_is_that_of_an_altered_copy(architecture, use_cache):
    loaded, prompt = tiny(architecture), "Once upon a time"
    ids = torch.tensor([loaded.tokenizer(prompt).input_ids])
    for text in DROPS_WHILE_GENERATING:
        drop = PruneSet.parse(text)
        copy = without(loaded.model, drop)
        wanted = copy.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=16, use_cache=True
        )
        found = generate(loaded, prompt, drop, max_new_tokens=16, use_cache=use_cache)
        assert found.token_ids == wanted[0].tolist(), text


@architectures
def test_a_dropped_block_is_not_computed(architecture):
    loaded, parts = LoadedModel.of(build(architecture, LAYERS), tokenizer()), PARTS[architecture]
    anatomy = loaded.anatomy
    one_window = windows()[0]  # so that there is one batch
    evaluate(loaded, one_window, PruneSet())  # what is found out about a model once is found out here
    calls: dict[str, int] = {}
    for i, layer in enumerate(loaded.model.get_submodule(parts.layers)):
        for name, path in (("attn", parts.attention_output), ("mlp", parts.mlp_output)):

            def count(*_, block=f"{name}.{i}"):
                calls[block] = calls.get(block, 0) + 1

            layer.get_submodule(path).register_forward_hook(count)
    everything = {f"{kind}.{i}" for kind in ("attn", "mlp") for i in range(LAYERS)}
    for text in ("", "attn.0", "mlp.2", "layer.1", "layer.0,attn.2,mlp.3"):
        drop = PruneSet.parse(text)
        kept = {block for block in everything if Block.parse(block) not in drop}
        calls.clear()
        with torch.inference_mode():
            anatomy.run(token_ids(), drop)
        assert calls == dict.fromkeys(kept, 1), text
        calls.clear()
        found = generate(loaded, "Once", drop, max_new_tokens=3)
        assert calls == dict.fromkeys(kept, found.new_tokens), text
        calls.clear()
        evaluate(loaded, one_window, drop)  # the dense model once, and the pruned one unless it is dense
        assert calls == {block: 1 + (block in kept and bool(drop)) for block in everything}, text


@architectures
def test_parameters_of_a_block_are_those_that_vanish_with_it(architecture):
    loaded, parts = tiny(architecture), PARTS[architecture]
    layer = loaded.model.get_submodule(parts.layers)[1]
    anatomy = loaded.anatomy

    def count(text: str) -> int:
        return sum(weight.numel() for weight in anatomy.parameters(PruneSet.parse(text)).values())

    in_layer = sum(weight.numel() for weight in layer.parameters())
    assert count("layer.1") == in_layer
    assert count("") == 0
    assert count("layer.1,layer.2,attn.1") == 2 * in_layer
    of_attention = sum(weight.numel() for weight in layer.get_submodule(parts.attention).parameters())
    assert of_attention <= count("attn.1") < in_layer
    assert count("attn.1") + count("mlp.1") <= in_layer
    # Only norms that both blocks read stay behind when each is dropped alone.
    assert in_layer - count("attn.1") - count("mlp.1") <= 2 * loaded.width


def test_attention_and_mlp_of_a_sequential_layer_take_their_norms_with_them():
    anatomy = tiny("llama").anatomy
    gone = {id(weight) for weight in anatomy.parameters(PruneSet.parse("attn.2")).values()}
    layer = tiny("llama").model.model.layers[2]
    assert id(layer.input_layernorm.weight) in gone
    assert id(layer.post_attention_layernorm.weight) not in gone


def test_parallel_layers_are_recognized():
    parallel = {name for name in OPTIONS if tiny(name).anatomy.split_layers[0].parallel}
    assert parallel == {name for name, parts in PARTS.items() if parts.middle is None}


@architectures
def test_logits_of_the_head_are_the_model_s(architecture):
    loaded = tiny(architecture)
    with torch.inference_mode():
        hidden = loaded.anatomy.run(token_ids(), PruneSet())
        found = loaded.anatomy.head.logits(hidden)
        wanted = loaded.model(input_ids=token_ids(), use_cache=False).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_a_table_of_positions_has_an_end():
    loaded = tiny("gpt2")
    assert loaded.anatomy.most_tokens == 128
    assert tiny("llama").anatomy.most_tokens is None
    with pytest.raises(
        TextError, match="at most 128 tokens at once, but 129 were given: use shorter windows"
    ):
        loaded.anatomy.begin(torch.ones(1, 129, dtype=torch.long))


class TestModelsThatAreNotOfThisKind:
    def test_a_state_space_model_is_refused_in_a_sentence(self):
        from transformers import AutoModelForCausalLM, MambaConfig

        config = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
        with pytest.raises(
            ModelError, match=r"entviz needs one attention and one MLP|cannot find its blocks"
        ):
            examine(AutoModelForCausalLM.from_config(config).eval())

    def test_layers_that_do_more_than_add_are_refused(self):
        model = build("llama", 2)
        model.model.layers[1] = Doubling(model.model.layers[1])
        with pytest.raises(
            ModelError, match=r"Choose a model of the Llama|cannot drop one without the other"
        ):
            examine(model)


class Doubling(nn.Module):
    """A layer whose output is not its input plus what its blocks add."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.self_attn, self.mlp, self.inner = layer.self_attn, layer.mlp, [layer]

    def forward(self, hidden_states: torch.Tensor, **kwargs: object) -> torch.Tensor:
        return 2 * self.inner[0](hidden_states, **kwargs)
