"""Tokens and numbers of an evaluation on the screen: equal to those of the evaluation, and always escaped."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entviz.blocks import PruneSet
from entviz.evaluation.generation import Generation
from entviz.evaluation.loss import Evaluation
from entviz.figures import costs, generation, theme, tokens
from entviz.text.spelling import spell
from entviz.words.phrases import number

DENSE = np.array([[1.0, 2.0, 3.0], [4.0, 0.5, 1.5]])
PRUNED = np.array([[1.5, 2.0, 2.0], [9.0, 0.5, 2.5]])
PIECES = [["The", " <b>", "&", " cat"], ["=1", " sat", "\n", "."]]


def evaluation(**changes) -> Evaluation:
    values = {
        "drop": PruneSet.parse("attn.1"),
        "token_ids": np.arange(8).reshape(2, 4),
        "token_nll": PRUNED,
        "dense_token_nll": DENSE,
        "token_kl": np.full((2, 3), 0.25),
        "agrees": np.array([[True, True, False], [False, True, True]]),
        "windows_total": 2,
        "parameters_dense": 2_000_000,
        "parameters_pruned": 1_500_000,
        "bytes_dense": 8_000_000,
        "bytes_pruned": 6_000_000,
        "dtype": "float32",
    }
    return Evaluation(**(values | changes))


def rows():
    return tokens.table(evaluation(), PIECES)


def test_the_table_puts_each_loss_at_its_token():
    table = rows()
    assert list(table["window"]) == [1] * 4 + [2] * 4
    assert list(table["position"]) == [1, 2, 3, 4] * 2
    assert list(table["token_id"]) == list(range(8))
    first = table["position"] == 1
    assert table.loc[first, ["nll", "dense_nll", "increase", "kl", "agrees"]].isna().all(axis=None)
    assert list(table.loc[~first, "nll"]) == list(PRUNED.ravel())
    assert list(table.loc[~first, "increase"]) == list((PRUNED - DENSE).ravel())
    assert list(table.loc[~first, "agrees"]) == [True, True, False, False, True, True]


def test_tokens_are_coloured_by_how_much_worse_they_got():
    html = tokens.marked_text(rows(), 5.0)
    worse, better = (
        theme.with_opacity(colour, opacity)
        for colour, opacity in ((tokens.WORSE, 0.7), (tokens.BETTER, 0.14))
    )
    assert f'background:{worse}"> sat<' in html  # +5 nats, the strongest
    assert f'background:{better}"> cat<' in html  # −1 nat, a fifth of it
    assert "loss 9.00, dense 4.00 (+5.00) nats" in html


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=40))
def test_nothing_in_a_token_becomes_markup(text):
    pieces = [["a", text, "b", "c"], ["d", "e", "f", "g"]]
    html = tokens.marked_text(tokens.table(evaluation(), pieces), 1.0)
    plain = tokens.marked_text(rows(), 1.0)
    assert html.count("<") == plain.count("<")
    assert html.count('"') == plain.count('"')


def test_the_scale_is_no_outliers():
    table = tokens.table(evaluation(token_nll=np.array([[1.0, 2.0, 3.0], [400.0, 0.5, 1.5]])), PIECES)
    assert tokens.scale(table) < 396
    assert tokens.scale(tokens.table(evaluation(token_nll=DENSE), PIECES)) == tokens.SMALLEST_SCALE


def test_the_chart_has_both_losses_and_the_windows_boundaries():
    figure = tokens.loss_chart(rows())
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["dense"].y)[1:4] == [1.0, 2.0, 3.0]
    assert list(by_name["pruned"].y)[5:] == [9.0, 0.5, 2.5]
    assert math.isnan(by_name["pruned"].y[4])  # the first token of a window has no loss
    assert [shape.x0 for shape in figure.layout.shapes] == [4.5]
    assert figure.layout.yaxis.title.text == "Loss (nats)"
    assert "&lt;b&gt;" in by_name["dense"].customdata[1]
    (bars,) = tokens.loss_chart(rows(), difference=True).data
    assert list(bars.y)[1:4] == [0.5, 0.0, -1.0]
    ends = dict(bars.marker.colorscale)
    assert (bars.marker.cmin, bars.marker.cmax) == (0, 1)
    assert ends[bars.marker.color[5]] == tokens.WORSE
    assert ends[bars.marker.color[3]] == tokens.BETTER


def test_cards_say_each_number_with_the_dense_models_beside_it():
    found = {card.title: card for card in costs.cards(evaluation())}
    perplexity = found["Perplexity"]
    assert float(perplexity.value) == pytest.approx(math.exp(PRUNED.mean()), rel=1e-3)
    assert float(perplexity.dense) == pytest.approx(math.exp(DENSE.mean()), rel=1e-3)
    assert perplexity.change == f"+{math.exp((PRUNED - DENSE).mean()) - 1:.1%}"
    increase = (PRUNED - DENSE).mean(axis=1)
    reach = (
        12.7062 * increase.std(ddof=1) / math.sqrt(2)
    )  # of two windows too short for more than their means
    assert found["Loss (nats a token)"].change == f"+{increase.mean():.4f} ± {reach:.2f}"
    assert "95% interval" in found["Loss (nats a token)"].about
    assert f"Here it is {number(math.exp(increase.mean()))} times the dense model's (95% interval " in (
        perplexity.about
    )
    assert found["Top-1 agreement"].value == "66.7%"
    assert (found["Parameters"].value, found["Parameters"].dense) == ("1.5M", "2.0M")
    assert found["Parameters"].change == "−500.0k (25.0%)"
    assert found["Weight memory"].change == "−2.0 MB"


def test_better_than_dense_is_not_called_worse():
    found = {card.title: card for card in costs.cards(evaluation(token_nll=DENSE - 0.1))}
    assert found["Perplexity"].worse is False
    assert found["Perplexity"].change.startswith("−")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_change_that_the_text_is_too_short_to_tell_is_neither_better_nor_worse(sign):
    noise = sign * np.array([[2.0] + [0.0] * (DENSE.shape[1] - 1), [-1.5] + [0.0] * (DENSE.shape[1] - 1)])
    found = {card.title: card for card in costs.cards(evaluation(token_nll=DENSE + noise))}
    assert found["Perplexity"].change != "0"
    assert found["Perplexity"].worse is None
    assert found["Loss (nats a token)"].worse is None


def test_the_difference_of_two_number_types_is_that_of_the_dense_model():
    said = costs.difference(evaluation(dtype="bfloat16", dense_token_nll=DENSE + 0.01), evaluation())
    assert said.startswith("bfloat16 instead of float32")
    assert "its loss by +0.0100 nats a token" in said
    perplexity = np.exp(DENSE.mean() + 0.01) - np.exp(DENSE.mean())
    assert f"perplexity here by {number(perplexity, sign=True)} " in said


def written(token_ids, drop=""):
    return Generation(token_ids, 2, "", PruneSet.parse(drop), 0.5, 2.0)


def test_the_first_token_that_differs_is_found_and_marked():
    dense, pruned = written([1, 2, 3, 4, 5]), written([1, 2, 3, 9, 5], "attn.1")
    assert generation.first_difference(dense, pruned) == 3
    html = generation.marked_continuation(pruned, ["a", "b", "c", "<i>", "e"], 3)
    assert ">&lt;i&gt;</mark>" in html
    assert html.count("<mark") == 1
    assert "They are the same for 1 new token" in generation.comparison(dense, pruned)
    assert generation.first_difference(dense, written([1, 2, 3])) == 3
    assert generation.first_difference(dense, dense) is None


def test_a_speed_is_shown_only_where_it_was_timed_in_turn_with_dense():
    kept_by_an_earlier_version = written([1, 2, 3, 9, 5], "attn.1")
    assert generation.speeds(kept_by_an_earlier_version) == ""
    assert "fast" not in generation.comparison(written([1, 2, 3, 4, 5]), kept_by_an_earlier_version)
    seconds = ((0.3, 0.2, 0.5, 0.2, 0.25), (0.1, 0.2, 0.2, 0.2, 0.1))  # ratios 3, 1, 2.5, 1, 2.5
    paired = dataclasses.replace(kept_by_an_earlier_version, writing_seconds=seconds)
    assert generation.speeds(paired).startswith(
        "Writes 2.50 × as fast as dense (middle half of 5 rounds: 1.00 to 2.50)."
    )


def test_pieces_join_to_the_text_whatever_is_in_it(smollm2):
    text = "Grüße aus Köln 🦊🦊 — “naïve” 漢字\n\n  def f(x):\treturn x"
    token_ids = smollm2.tokenizer(text).input_ids
    pieces = spell(smollm2.tokenizer, token_ids)
    assert len(pieces) == len(token_ids)
    assert "".join(pieces) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_half_a_character_is_spelled_as_what_it_is(smollm2):
    token_ids = smollm2.tokenizer("🦊").input_ids
    assert len(token_ids) > 1
    assert spell(smollm2.tokenizer, token_ids[:1]) == ["\N{REPLACEMENT CHARACTER}"]
