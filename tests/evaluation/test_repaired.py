"""What a repair recovers, of the default model: against evaluations of the parts one by one."""

import pytest

from entviz.blocks import PruneSet
from entviz.evaluation.loss import evaluate
from entviz.evaluation.repaired import evaluate_repaired
from entviz.repair.fitting import fit
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text


def cut(loaded, name, windows):
    return windows_from_text(passages()[name].text, loaded.tokenizer, windows=windows, window_length=64)


def test_the_share_recovered_is_that_of_three_evaluations(smollm2):
    drop = PruneSet.parse("layer.12,layer.13")
    measured, calibration = cut(smollm2, "news", 2), [cut(smollm2, name, 8) for name in ("story", "law")]
    found = evaluate_repaired(smollm2, measured, fit(smollm2, calibration, drop, "ghosted"))
    plain = evaluate(smollm2, measured, drop)
    repair = fit(smollm2, calibration, drop, "ghosted")
    repaired = evaluate(smollm2, measured, drop, repair=repair)
    assert found.plain_nll == pytest.approx(plain.nll)
    assert found.nll == pytest.approx(repaired.nll)
    assert plain.nll > plain.dense_nll
    assert found.recovered == pytest.approx((plain.nll - repaired.nll) / (plain.nll - plain.dense_nll))
    assert found.recovered > 0.1, "on text of a kind that it was not fitted on"
    assert found.calibration_tokens == 2 * 8 * 64
    assert list(found.fits["site"]) == ["layer.13"]
    assert found.to_json()["recovered"] == found.recovered


@pytest.mark.exhaustive
def test_a_repair_in_bfloat16_is_near_that_in_float32(smollm2):
    drop = PruneSet.parse("attn.5,attn.6")
    measured, calibration = cut(smollm2, "news", 2), [cut(smollm2, "story", 8)]
    wide, narrow = (
        evaluate_repaired(smollm2, measured, fit(smollm2, calibration, drop, "bias"), dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    assert narrow.nll == pytest.approx(wide.nll, abs=0.02)
