"""What a repair changes, in cards and sentences: from losses that are made up, so that the truth is known."""

import numpy as np
import pytest

from entviz.blocks import PruneSet
from entviz.evaluation.loss import Evaluation
from entviz.evaluation.repaired import RepairedEvaluation
from entviz.figures import costs, repairs

WINDOWS, SCORED = 16, 64
DENSE = np.random.default_rng(0).gamma(2.0, 1.5, (WINDOWS, SCORED))


def evaluation(nll, plain=None, *, seed=1, spread=0.2, parameters=90):
    """An evaluation whose loss is that of the dense model and a mean increase ``nll``, noisy from token to token."""
    noise = np.random.default_rng(seed).normal(0, spread, (2, WINDOWS, SCORED))
    noise -= noise.mean((1, 2), keepdims=True)
    values = {
        "drop": PruneSet.parse("attn.5"),
        "token_ids": np.zeros((WINDOWS, SCORED + 1), dtype=np.int64),
        "token_nll": DENSE + nll + noise[0],
        "dense_token_nll": DENSE,
        "token_kl": np.abs(noise[0]) + max(nll, 0),
        "agrees": np.random.default_rng(2).random((WINDOWS, SCORED)) > nll / 4,
        "windows_total": WINDOWS,
        "parameters_dense": 100,
        "parameters_pruned": parameters,
        "bytes_dense": 400,
        "bytes_pruned": 4 * parameters,
        "dtype": "float32",
    }
    if plain is None:
        return Evaluation(**values)
    return RepairedEvaluation(
        **values,
        repair="refit",
        plain_token_nll=DENSE + plain + noise[1],
        plain_token_kl=np.abs(noise[1]),
        calibration_tokens=1000,
    )


def test_cards_show_both_numbers_and_the_change_from_dense():
    plain, repaired = evaluation(1.0), evaluation(0.25, 1.0, parameters=91)
    shown = {card.title: card for card in repairs.cards(plain, repaired)}
    before = {card.title: card for card in costs.cards(plain)}
    after = {card.title: card for card in costs.cards(repaired)}
    assert list(shown) == list(before)
    for title in ("Perplexity", "KL from dense (nats)", "Top-1 agreement", "Parameters"):
        assert shown[title].value == f"{before[title].value} → {after[title].value}"
        assert shown[title].change == after[title].change.partition("±")[0].strip()
        assert shown[title].dense == after[title].dense
    assert shown["Perplexity"].change == "+28.4%", "exp(0.25) − 1"


def test_a_number_that_a_repair_leaves_stands_once():
    shown = {card.title: card for card in repairs.cards(evaluation(1.0), evaluation(0.25, 1.0))}
    assert shown["Parameters"].value == "90"


def test_the_headline_says_the_share_on_each_text():
    said = repairs.headline([("A", evaluation(0.25, 1.0)), ("B", evaluation(0.6, 1.0, seed=5))])
    assert not said.harms
    assert said.text.startswith("The repair recovers 75% ± ")
    assert "of the added loss on A and 40% ± " in said.text
    assert said.text.endswith(" on B.")


def test_harm_on_one_text_is_said_in_the_same_sentence():
    said = repairs.headline([("A", evaluation(0.25, 1.0)), ("B", evaluation(1.2, 1.0))])
    assert said.harms
    assert said.text.startswith("The repair recovers 75% ± ")
    assert " of the added loss on A, but does harm on B (+0.2000 ± " in said.text


@pytest.mark.parametrize(
    ("repaired", "plain", "spread", "words"),
    [
        (0.99, 1.0, 3.0, "of the added loss on A (not clear)"),
        (-0.2, -0.1, 0.01, "has nothing to recover on A"),
        (0.1, -0.1, 0.01, "does harm on A"),
    ],
)
def test_what_is_unclear_free_or_harmful_is_not_called_recovered(repaired, plain, spread, words):
    said = repairs.headline([("A", evaluation(repaired, plain, spread=spread))])
    assert words in said.text
    assert said.harms == ("harm" in words)


def test_the_file_has_a_column_for_each():
    plain, repaired = evaluation(1.0), evaluation(0.25, 1.0)
    table = repairs.table(plain, repaired).set_index("measure")
    assert list(table.columns) == ["unit", "dense", "pruned", "repaired"]
    assert table.loc["perplexity", ["pruned", "repaired"]].tolist() == [
        plain.perplexity,
        repaired.perplexity,
    ]


def test_the_interval_of_the_share_contains_the_truth_as_often_as_it_says():
    """Losses with means that are known, drawn again and again: the true share is 0.6."""
    random = np.random.default_rng(7)
    held, times = 0, 600
    for _ in range(times):
        added, gained = random.gamma(1.0, 1.0, (2, 4, 128))
        made = evaluation(0, 0)
        object.__setattr__(made, "dense_token_nll", np.zeros((4, 128)))
        object.__setattr__(made, "plain_token_nll", added)
        object.__setattr__(made, "token_nll", added - 0.3 * added - 0.3 * gained)
        share = made.recovered_interval
        held += share.low <= 0.6 <= share.high
    assert 0.92 <= held / times <= 0.98
