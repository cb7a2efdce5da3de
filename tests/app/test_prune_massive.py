"""Prune without massive tokens, on the real default model: ranked by what is left, and drawn so."""

import pytest

import entviz
from entviz.text.passages import passages
from tests.app.conftest import settle, words
from tests.app.test_prune import bench_of


def test_the_switch_ranks_and_draws_without_them(open_app, smollm2):
    app = settle(open_app("prune", drop="mlp.20"))
    windows = entviz.windows_from_text(
        passages()["news"].text, smollm2.tokenizer, windows=2, window_length=64
    )
    app.segmented_control(key="prune.estimator").set_value("bucket").run()
    settle(app)
    before = app.session_state["working.prune.ranking"].result
    assert "Left out" not in words(app)
    app.toggle(key="prune.massive").set_value(True).run()
    settle(app)
    assert app.query_params["massive"] == "no"
    found = app.session_state["working.prune.ranking"].result
    wanted = entviz.rank(smollm2, windows, "entrodrop", estimator="bucket", without_massive=True)
    scores = [dict(zip(one.scores["block"], one.scores["score"], strict=True)) for one in (found, wanted)]
    assert scores[0] == {block: pytest.approx(score, rel=1e-3, abs=0.5) for block, score in scores[1].items()}
    assert found.order != before.order
    for place in ("prune.analysis", "prune.curve"):
        assert app.session_state[f"working.{place}"].result.without_massive, place
    assert "Left out: the first token of 2 of 2 windows" in words(app).replace("\\", "")


def test_a_turning_point_that_one_token_makes_is_not_shaded_as_two_stages(open_app):
    app = settle(open_app("prune", drop="mlp.20"))
    app.segmented_control(key="prune.estimator").set_value("bucket").run()
    settle(app)
    drawn = bench_of(app)
    assert not drawn["curve"]["stages"]
    assert drawn["curve"]["lines"][0]["words"] == "dense: lowest after layer 11"
    assert "It is lowest after layer" in drawn["alt"]
    app.button(key="prune.clear").click().run()
    settle(app)
    assert "but only with one token, the first of each window" in bench_of(app)["alt"]
    app.toggle(key="prune.massive").set_value(True).run()
    settle(app)
    assert "With all tokens it turns at layer 11." in bench_of(app)["alt"]
