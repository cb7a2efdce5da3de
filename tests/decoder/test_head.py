"""From hidden states to logits, with every step that a model puts between them."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import examine
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

IDS = torch.randint(3, VOCABULARY_SIZE, (2, 12), generator=torch.Generator().manual_seed(0))


def made(kind: str, **settings):
    config = AutoConfig.for_model(
        kind,
        **{
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "pad_token_id": 0,
            **settings,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)


def check(model, linear: bool):
    anatomy = examine(model)
    with torch.inference_mode():
        hidden = anatomy.run(IDS, PruneSet())
        normed = anatomy.head.normed(hidden)
        wanted = model(IDS, use_cache=False).logits
        close = {"rtol": 1e-4, "atol": 1e-4 * float(wanted.abs().max())}
        torch.testing.assert_close(anatomy.head.logits(hidden), wanted, **close)
        # States of any shape: a text's scored positions come flattened.
        flat = anatomy.head.unembed(normed.flatten(0, 1))
        torch.testing.assert_close(flat, wanted.flatten(0, 1), **close)
    assert (anatomy.head.unembedding is not None) == linear


@pytest.mark.parametrize("architecture", OPTIONS)
def test_every_architecture(architecture):
    check(build(architecture, 2), linear=architecture != "gemma2")  # which caps its logits


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("cohere", {"logit_scale": 0.25}),
        ("granite", {"logits_scaling": 3.0, "embedding_multiplier": 4.0, "residual_multiplier": 0.5}),
        ("gemma2", {"final_logit_softcapping": 2.0, "head_dim": 8}),
    ],
)
def test_logits_that_are_scaled_or_capped(kind, settings):
    check(made(kind, **settings), linear=False)


def test_a_cap_that_shows_only_in_large_logits_is_found():
    check(made("gemma2", final_logit_softcapping=1000.0, head_dim=8), linear=False)


def test_a_cap_of_none_is_none():
    check(made("gemma2", final_logit_softcapping=None, head_dim=8), linear=True)
