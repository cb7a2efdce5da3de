"""``entviz interactions``: every pair against a copy without the two blocks."""

from itertools import combinations

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.decoder import precision
from entviz.models import load
from entviz.statistics import cosine_averages, standard_error
from tests.altered import without
from tests.cli.conftest import LAYERS, TEXT, WINDOWS

MLPS = ("interactions", "--text", TEXT, *WINDOWS, "--level", "mlp")


def test_json(answer, directory):
    found = answer(*MLPS)
    assert list(found) == ["model", "level", "windows", "window_length", "alone", "pairs"]
    assert [found[name] for name in ("model", "level", "windows", "window_length")] == [
        *(str(directory), "mlp", 3, 40)
    ]
    names = [f"mlp.{i}" for i in range(LAYERS)]
    assert [row["block"] for row in found["alone"]] == names
    assert [(row["first"], row["second"]) for row in found["pairs"]] == list(combinations(names, 2))

    loaded = load(str(directory))
    ids = torch.tensor(loaded.tokenizer(TEXT, add_special_tokens=False).input_ids[:120]).view(3, 40)
    log_p = loaded.model(ids).logits[:, :-1].double().log_softmax(-1)

    def damage(drop):
        """The loss increase and the KL of each token, (2, 3, 39)."""
        pruned = without(loaded.model, PruneSet.parse(drop))
        log_q = pruned(ids).logits[:, :-1].double().log_softmax(-1)
        increase = (log_p - log_q).gather(-1, ids[:, 1:, None]).squeeze(-1)
        return torch.stack([increase, (log_p.exp() * (log_p - log_q)).sum(-1)]).detach().numpy()

    alone = {name: damage(name) for name in names}
    for row in found["alone"]:
        loss, kl = alone[row["block"]].mean(axis=(1, 2))
        assert (row["loss"], row["kl"]) == pytest.approx((loss, kl), rel=1e-4, abs=1e-5)
    for row in found["pairs"]:
        together = damage(f"{row['first']},{row['second']}")
        added = alone[row["first"]] + alone[row["second"]]
        beyond = together - added
        for place, measure in enumerate(("loss", "kl")):
            wanted = {
                "together": together[place].mean(),
                "sum": added[place].mean(),
                "interaction": beyond[place].mean(),
                "standard_error": standard_error(cosine_averages(beyond[place])),
            }
            for name, value in wanted.items():
                assert row[f"{measure}_{name}"] == pytest.approx(value, rel=1e-3, abs=2e-5)


def test_only_the_blocks_that_are_named(answer):
    every = {(row["first"], row["second"]): row for row in answer(*MLPS)["pairs"]}
    found = answer(*MLPS, "--blocks", "mlp.3,mlp.0,mlp.3")
    assert [row["block"] for row in found["alone"]] == ["mlp.0", "mlp.3"]
    (pair,) = found["pairs"]
    wanted = every["mlp.0", "mlp.3"]
    assert [pair.pop(name) for name in ("first", "second")] == [
        wanted.pop(name) for name in ("first", "second")
    ]
    assert pair == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_a_window_of_few_tokens_has_no_standard_error(answer):
    found = answer(
        "interactions", "--text", TEXT, "--windows", 1, "--window-length", 8, "--blocks", "attn.1,attn.2"
    )
    assert found["pairs"][0]["loss_standard_error"] is None


def test_a_faster_number_type(answer, monkeypatch):
    exact = answer(*MLPS)["alone"]
    monkeypatch.setattr(precision, "speedup", lambda device: 2.0)
    rough = answer(*MLPS, "--dtype", "auto")["alone"]
    assert rough != exact
    assert rough == answer(*MLPS, "--dtype", "bfloat16")["alone"]
    assert [row["loss"] for row in rough] == pytest.approx([row["loss"] for row in exact], abs=0.1)


def test_table(entviz):
    status, output, errors = entviz(*MLPS)
    assert status == 0
    assert "entviz: 6 pairs, a few seconds here." in errors
    assert "3 windows of 40 tokens." in output
    assert "Pairs by their loss increase beyond the sum of the two, nats a token" in output
    rows = [line.split() for line in output.splitlines() if line.strip().startswith("mlp.")]
    assert len(rows) == 6
    beyond = [float(row[4]) for row in rows]
    assert beyond == sorted(beyond, reverse=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--level", "head"), "'head' is not a level"),
        (("--blocks", "head.3,mlp.1"), "'head.3' is not a block"),
        (("--blocks", "mlp.1,mlp.9"), "mlp.9 does not exist: the model's layers are 0 to 3"),
        (("--blocks", "mlp.1,attn.2"), "attn.2 is not a block of level mlp"),
        (("--blocks", "mlp.1"), "A pair needs two blocks"),
        (("--dtype", "int8"), "int8"),
        (("--windows", "99"), "not for 99"),
    ],
)
def test_bad_input(wrong, options, says):
    assert says in wrong(*MLPS, *options)
