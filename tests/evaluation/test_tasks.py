"""Accuracy on multiple-choice items: sharing the common start of choices changes no number."""

import numpy as np
import pytest
import torch

from entviz.blocks import PruneSet
from entviz.errors import BlockError, Cancelled, OptionError, TextError
from entviz.evaluation.choices import in_tokens, log_likelihoods, plan
from entviz.evaluation.tasks import evaluate_task
from entviz.models import LoadedModel
from entviz.tasks import Item, Task, read_task
from tests.altered import without
from tests.models.files import tokenizer
from tests.tiny import OPTIONS, build

ITEMS = (
    Item.ask("The sky is", ["blue", "blueish today", "b"], 0),
    Item.ask("", ["No context at all.", "No context"], 1),
    Item(("Ann thanked Eve because Ann", "Ann thanked Eve because Eve"), ("had helped.", "had helped."), 1),
    Item.ask("Q: which letter?\nA. one\nB. two\nAnswer:", ["A", "B"], 0),
    Item.ask("Spaces at the end  ", ["go", "to the choice"], 0),
    Item.ask(
        "A long story that goes on and on, " * 2 + "and then", ["it ended", "it did not", "ab ab ab"], 2
    ),
    *read_task("common-sense").items[:6],
)
TASK = Task("mixed", ITEMS)


def alone(model, of_tokens, context: str, choice: str) -> float:
    """The log-likelihood of one choice by one pass of the whole model: nothing is shared, padded or kept."""
    stripped = context.rstrip()
    continuation = f"{context[len(stripped) :]} {choice}"
    before = of_tokens(stripped).input_ids if stripped else [of_tokens.bos_token_id]
    after = of_tokens(continuation).input_ids  # a tokenizer of letters cuts anywhere alike
    ids = torch.tensor([before + after])
    with torch.inference_mode():
        log_p = model(ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
    return log_p.gather(-1, ids[0, 1:, None])[-len(after) :].sum().item()


@pytest.mark.parametrize(
    "architecture", ["llama", "gpt2", "gpt_neox", "gemma3_text", "bloom", "opt", "mixtral"]
)
def test_likelihoods_are_those_of_each_choice_alone(architecture):
    sizes = (
        {"n_positions": 256} if "n_positions" in OPTIONS[architecture] else {"max_position_embeddings": 256}
    )
    model = build(architecture, **({} if architecture == "bloom" else sizes))
    loaded = LoadedModel.of(model, tokenizer())
    for text in ("", "layer.0", "attn.0,attn.2,mlp.3", "attn.0,attn.1,attn.2,attn.3"):
        drop = PruneSet.parse(text)
        copy = without(loaded.model, drop)
        found = evaluate_task(loaded, TASK, drop)
        assert found.items == len(ITEMS)
        for number, item in enumerate(ITEMS):
            wanted = [
                alone(copy, loaded.tokenizer, *pair) for pair in zip(item.contexts, item.choices, strict=True)
            ]
            got = found.log_likelihood[number]
            assert got[: len(wanted)] == pytest.approx(wanted, rel=2e-5, abs=2e-4), (text, item)
            assert np.isnan(got[len(wanted) :]).all()
            assert found.chosen[number] == np.argmax(wanted)
            per_character = [value / len(choice) for value, choice in zip(wanted, item.choices, strict=True)]
            assert found.chosen_normalized[number] == np.argmax(per_character)
        answers = [item.answer for item in ITEMS]
        assert found.accuracy == np.mean(found.chosen == answers)
        assert found.accuracy_normalized == np.mean(found.chosen_normalized == answers)


def test_items_in_any_company_have_the_same_likelihoods():
    loaded = LoadedModel.of(build("gpt_neox"), tokenizer())
    encoded = [
        in_tokens(loaded, [(c, f" {x}") for c, x in zip(item.contexts, item.choices, strict=True)])
        for item in ITEMS
    ]
    drop = PruneSet.parse("attn.1")
    with torch.inference_mode():
        single = [log_likelihoods(loaded.anatomy, drop, [item])[0] for item in encoded]
        for most in (1, 60, 200, 10_000):
            groups = plan(encoded, most)
            assert sorted(i for group in groups for i in group) == list(range(len(ITEMS)))
            for group in groups:
                found = log_likelihoods(loaded.anatomy, drop, [encoded[i] for i in group])
                for i, values in zip(group, found, strict=True):
                    assert values == pytest.approx(single[i], abs=1e-4)


def test_sharing_runs_fewer_tokens_than_there_are():
    loaded = LoadedModel.of(build("llama"), tokenizer())
    seen = []
    loaded.anatomy  # noqa: B018 - found before counting
    evaluate_task(loaded, TASK.first(1), PruneSet())
    loaded.model.model.layers[0].mlp.register_forward_hook(
        lambda module, args, output: seen.append(output[..., 0].numel())
    )
    task = Task(
        "letters", (Item.ask("A question that is long enough to matter, and then", ["A", "B", "C"], 0),) * 4
    )
    evaluate_task(loaded, task, PruneSet())
    plain = sum(
        len(loaded.tokenizer(f"{c} {x}").input_ids)
        for item in task.items
        for c, x in zip(item.contexts, item.choices, strict=True)
    )
    assert sum(seen) < 0.5 * plain


def test_standard_errors_and_chance():
    found = evaluate_task(LoadedModel.of(build("llama"), tokenizer()), TASK, PruneSet())
    assert found.chance == pytest.approx(TASK.chance)
    assert found.standard_error == pytest.approx(np.std(found.right, ddof=1) / np.sqrt(len(ITEMS)))
    one = evaluate_task(LoadedModel.of(build("llama"), tokenizer()), TASK, PruneSet(), limit=1)
    assert one.to_json()["standard_error"] is None
    assert len(found.per_item()) == len(ITEMS)


def test_partial_results_grow_and_work_can_be_stopped():
    loaded, seen = LoadedModel.of(build("llama"), tokenizer()), []
    whole = evaluate_task(loaded, TASK, PruneSet(), progress=lambda done, total, part=None: seen.append(part))
    parts = [part for part in seen if part is not None]
    assert [part.items for part in parts] == sorted(part.items for part in parts)
    assert parts[-1].items == len(ITEMS) == parts[0].items_total
    for part in parts:
        np.testing.assert_array_equal(part.log_likelihood, whole.log_likelihood[part.item])

    def stop(done, total, part=None):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        evaluate_task(loaded, TASK, PruneSet(), progress=stop)


def test_bad_input():
    loaded = LoadedModel.of(build("llama"), tokenizer())
    with pytest.raises(BlockError, match=r"attn\.9 does not exist"):
        evaluate_task(loaded, TASK, PruneSet.parse("attn.9"))
    with pytest.raises(OptionError, match="at least 1 item"):
        evaluate_task(loaded, TASK, PruneSet(), limit=0)
    with pytest.raises(TextError, match="came without a tokenizer"):
        evaluate_task(LoadedModel.of(build("llama")), TASK, PruneSet())
    long = Task("long", (ITEMS[0], Item.ask("a", ["b" * 200, "c"], 0)))
    with pytest.raises(
        TextError, match=r"Item 1 cannot be scored\. .* has 201 tokens, but the model reads at most 128"
    ):
        evaluate_task(loaded, long, PruneSet())


def test_a_context_that_is_too_long_loses_its_beginning():
    loaded = LoadedModel.of(build("llama"), tokenizer())
    end = "and this is what is left of it in the end"
    cut = evaluate_task(loaded, Task("a", (Item.ask("x" * 300 + end, ["yes", "no"], 0),)), PruneSet())
    other = evaluate_task(loaded, Task("b", (Item.ask("x" * 500 + end, ["yes", "no"], 0),)), PruneSet())
    np.testing.assert_allclose(cut.log_likelihood, other.log_likelihood, atol=1e-5)
