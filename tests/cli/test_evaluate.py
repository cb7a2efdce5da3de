"""``entviz evaluate``: against a copy that is really pruned, on a text and on a task."""

import json

import pytest
import torch

from entviz.blocks import PruneSet
from entviz.evaluation.loss import evaluate
from entviz.models import load
from entviz.repair.calibration import calibration_windows
from entviz.repair.fitting import fit
from entviz.repair.self_written import self_written
from entviz.text.windows import windows_from_token_ids
from tests.altered import losses, without
from tests.cli.asked import OTHER
from tests.cli.conftest import TEXT, WINDOWS


def test_json(answer, directory):
    found = answer("evaluate", "--text", TEXT, *WINDOWS, "--drop", "attn.1,layer.2")
    assert set(found) >= {"drop", "nll", "perplexity", "per_window_nll", "dense", "kl"}
    assert set(found) >= {"top1_agreement", "parameters"}
    loaded = load(str(directory))
    ids = torch.tensor([loaded.tokenizer(TEXT, add_special_tokens=False).input_ids[:120]]).view(3, 40)
    drop = PruneSet.parse("attn.1,layer.2")
    pruned = without(loaded.model, drop)
    wanted, dense = losses(pruned, ids), losses(loaded.model, ids)
    assert found["drop"] == ["attn.1", "layer.2"]
    assert found["per_window_nll"] == pytest.approx(wanted.tolist(), rel=1e-5)
    assert found["nll"] == pytest.approx(wanted.mean().item(), rel=1e-5)
    assert found["perplexity"] == pytest.approx(wanted.mean().exp().item(), rel=1e-4)
    assert found["dense"] == pytest.approx(
        {"nll": dense.mean().item(), "perplexity": dense.mean().exp().item()}, rel=1e-4
    )
    log_p = loaded.model(ids).logits[:, :-1].double().log_softmax(-1)
    log_q = pruned(ids).logits[:, :-1].double().log_softmax(-1)
    assert found["kl"] == pytest.approx((log_p.exp() * (log_p - log_q)).sum(-1).mean().item(), rel=1e-4)
    agree = (log_p.argmax(-1) == log_q.argmax(-1)).double().mean().item()
    assert found["top1_agreement"] == pytest.approx(agree)
    layer = loaded.model.model.layers[1]
    in_layer = sum(weight.numel() for weight in layer.parameters())
    in_attention = sum(w.numel() for w in (*layer.self_attn.parameters(), layer.input_layernorm.weight))
    assert found["parameters"]["dense"] == sum(w.numel() for w in loaded.model.parameters())
    assert found["parameters"]["pruned"] == found["parameters"]["dense"] - in_layer - in_attention


def test_a_repair_is_measured_beside_the_prune_set_without_it(answer, entviz, directory, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(OTHER * 4)
    pruned = ("evaluate", "--text", TEXT, *WINDOWS, "--drop", "layer.0")
    repaired = (*pruned, "--repair", "ghosted", "--repair-text-file", other, "--repair-window-length", "40")
    found, plain = answer(*repaired), answer(*pruned)
    assert found["plain"]["nll"] == pytest.approx(plain["nll"])
    assert found["dense"] == pytest.approx(plain["dense"])
    loaded, drop = load(str(directory)), PruneSet.parse("layer.0")
    ids = torch.tensor([loaded.tokenizer(TEXT, add_special_tokens=False).input_ids[:120]]).view(3, 40)
    [calibration] = calibration_windows(loaded, [other.read_text()], 8, 40)
    written = self_written(loaded, windows=16 - len(calibration), length=40)
    repair = fit(loaded, [calibration, written], drop, "ghosted", dtype="auto")
    measured = evaluate(
        loaded, windows_from_token_ids(ids.tolist(), loaded.vocabulary_size), drop, repair=repair
    )
    assert found["per_window_nll"] == pytest.approx(measured.per_window_nll)
    # This model has random weights, and predicts better without the layer: there is nothing to recover.
    assert plain["nll"] < plain["dense"]["nll"]
    assert found["recovered"] is None
    code, said, _ = entviz(*repaired)
    assert code == 0
    assert "Repaired by ghosted, fitted on" in said
    assert f"Without it: perplexity {plain['perplexity']:.4f}" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--repair", "bias", "--no-repair-self-written"), "at least one calibration text"),
        (("--repair-text-file", "F"), "name one by --repair"),
        (("--repair", "glue"), "'glue' is not a repair: choose from refit"),
    ],
)
def test_a_repair_that_cannot_be_fitted_is_a_sentence(wrong, arguments, says):
    assert says in wrong("evaluate", "--text", TEXT, *WINDOWS, "--drop", "attn.1", *arguments)


def test_the_text_that_is_measured_is_not_fitted_on(wrong, tmp_path):
    (tmp_path / "same.txt").write_text(TEXT)
    arguments = ("--drop", "attn.1", "--repair", "bias", "--repair-text-file", tmp_path / "same.txt")
    assert "Calibrate on another text" in wrong("evaluate", "--text", TEXT, *WINDOWS, *arguments)


def test_nothing_dropped(answer):
    found = answer("evaluate", "--text", TEXT, *WINDOWS)
    assert found["drop"] == []
    assert found["nll"] == found["dense"]["nll"]
    assert (found["kl"], found["top1_agreement"]) == (0, 1)
    assert found["parameters"]["dense"] == found["parameters"]["pruned"]


def test_token_ids_are_windows_already(answer, tmp_path):
    rows = [[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]
    (tmp_path / "ids.json").write_text(json.dumps(rows))
    found = answer("evaluate", "--token-ids", tmp_path / "ids.json")
    assert len(found["per_window_nll"]) == 2


def test_a_text_file(answer, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8-sig")
    one = answer("evaluate", "--text-file", file, *WINDOWS)
    assert one == answer("evaluate", "--text", TEXT, *WINDOWS)
    file.write_text(TEXT, encoding="utf-16")
    assert one == answer("evaluate", "--text-file", file, "--encoding", "utf-16", *WINDOWS)


def test_table(entviz):
    status, output, _ = entviz("evaluate", "--text", TEXT, *WINDOWS, "--drop", "attn.1")
    assert status == 0
    for line in ("perplexity", "loss per token (nats)", "KL from dense (nats)", "top-1 agreement"):
        assert line in output
    assert "Dropped: attn.1" in output


def test_a_built_in_task(answer):
    found = answer("evaluate", "--task", "grammar", "--limit", 6, "--drop", "attn.1")
    assert set(found) >= {"task", "items", "accuracy", "accuracy_normalized"}
    assert (found["task"], found["items"]) == ("grammar", 6)
    assert all(0 <= found[name] <= 1 for name in ("accuracy", "accuracy_normalized"))


def test_a_task_of_one_s_own(answer, entviz, tmp_path):
    file = tmp_path / "colours.jsonl"
    file.write_text('{"context": "Grass is", "choices": ["green", "red"], "answer": 0}\n' * 3)
    assert answer("evaluate", "--task", file)["items"] == 3
    status, output, _ = entviz("evaluate", "--task", file)
    assert status == 0
    assert "colours, 3 items" in output
    assert "accuracy, length-normalized" in output
