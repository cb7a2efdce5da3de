"""User errors: one sentence for each, and exit status 2."""

import os

import pytest
from transformers import AutoConfig, AutoModelForMaskedLM

from tests.cli.conftest import TEXT, WINDOWS


def test_no_such_model(wrong, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "no-such/model" in wrong("evaluate", "--text", TEXT, model="no-such/model")
    assert "nowhere" in wrong("evaluate", "--text", TEXT, model="./nowhere")


def test_a_directory_without_weights(wrong, tmp_path, directory):
    (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
    assert "no weights" in wrong("analyze", "--text", TEXT, model=tmp_path)


def test_a_model_that_is_not_causal(wrong, tmp_path):
    config = AutoConfig.for_model(
        "bert", vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path)
    assert "not a causal language model" in wrong("analyze", "--text", TEXT, model=tmp_path)


def test_pickled_weights(wrong, tmp_path, directory):
    (tmp_path / "config.json").write_bytes((directory / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert "pickle" in wrong("rank", "--text", TEXT, model=tmp_path)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_empty_text(wrong, text):
    assert "The text is empty" in wrong("evaluate", "--text", text)


def test_bytes_that_are_no_text(wrong):
    assert "not in this shell's encoding" in wrong("evaluate", "--text", TEXT + os.fsdecode(b"\xff"))
    assert "not in this shell's encoding" in wrong("generate", "--prompt", os.fsdecode(b"Once \xff"))


def test_an_empty_file(wrong, tmp_path):
    (tmp_path / "empty.txt").touch()
    assert "The text is empty" in wrong("evaluate", "--text-file", tmp_path / "empty.txt")


def test_an_empty_prompt(wrong):
    assert "The prompt is empty" in wrong("generate", "--prompt", "")


def test_fewer_tokens_than_a_window(wrong):
    assert "fewer than one window of 256" in wrong("analyze", "--text", "Too short.")
    sentence = wrong("analyze", "--text", TEXT, "--windows", 99, "--window-length", 40)
    assert "not for 99" in sentence


def test_k_is_more_than_the_tokens(wrong):
    sentence = wrong("analyze", "--text", TEXT, "--window-length", 25, "--metric", "knn")
    assert "needs at least 26 tokens" in sentence
    wrong("rank", "--text", TEXT, "--window-length", 25, "--estimator", "knn")


def test_an_unknown_metric(wrong):
    assert "'entropy' is not a metric: choose from bucket" in wrong(
        "analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,entropy"
    )
    assert "No metric given" in wrong("analyze", "--text", TEXT, *WINDOWS, "--metric", ",")
    wrong("rank", "--text", TEXT, *WINDOWS, "--estimator", "entropy")


def test_an_unknown_level(wrong):
    for command in ("analyze", "rank"):
        sentence = wrong(command, "--text", TEXT, *WINDOWS, "--level", "head")
        assert "'head' is not a level" in sentence


def test_an_unknown_criterion(wrong):
    sentence = wrong("rank", "--text", TEXT, *WINDOWS, "--criterion", "magic")
    assert "'magic' is not a criterion: choose from entrodrop" in sentence


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_a_time_that_is_none(wrong, seconds):
    search = ("--criterion", "search", "--budget", 1, f"--seconds={seconds}")
    assert f"cannot take {seconds} seconds" in wrong("rank", "--text", TEXT, *WINDOWS, *search)


def test_a_stage_for_a_criterion_that_knows_none(wrong):
    sentence = wrong("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--stage", 2)
    assert "--stage is for entrodrop: leave it out for cosine." in sentence


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("head.3", "'head.3' is not a block"),
        ("attn.x", "'attn.x' is not a block"),
        ("attn.-1", "'attn.-1' is not a block"),
        ("attn.4", "attn.4 does not exist: the model's layers are 0 to 3"),
        ("layer.0,layer.1,layer.2,layer.3", "drops all 4 layers"),
        ("layer.0,layer.1,layer.2,attn.3,mlp.3", "drops all 4 layers"),
    ],
)
def test_a_block_that_does_not_exist_and_dropping_everything(wrong, drop, says):
    assert says in wrong("evaluate", "--text", TEXT, *WINDOWS, "--drop", drop)
    assert says in wrong("generate", "--prompt", "Once", "--drop", drop)
    assert says in wrong("evaluate", "--task", "grammar", "--limit", 2, "--drop", drop)


def test_a_budget_that_drops_everything(wrong):
    options = ("rank", "--text", TEXT, *WINDOWS, "--criterion", "cosine", "--level", "layer", "--budget")
    assert "drops all 4 layers" in wrong(*options, 4)
    assert "4 blocks" in wrong(*options, 5)


@pytest.mark.parametrize("budget", ["many", "-1", "120%", "1.5"])
def test_a_budget_that_is_none(wrong, budget):
    assert "is not a budget" in wrong("rank", "--text", TEXT, *WINDOWS, f"--budget={budget}")


def test_protecting_everything(wrong):
    for criterion in ("entrodrop", "search", "sleb", "last"):
        sentence = wrong(
            *("rank", "--text", TEXT, *WINDOWS, "--criterion", criterion),
            *("--level", "layer", "--protect", "4,0", "--budget", 1),
        )
        assert "0 blocks" in sentence


def test_a_file_that_is_not_utf_8(wrong, tmp_path):
    (tmp_path / "old.txt").write_bytes(("Grüße aus Köln. " * 40).encode("cp1252"))
    sentence = wrong("evaluate", "--text-file", tmp_path / "old.txt", *WINDOWS)
    assert "--encoding cp1252" in sentence
    assert "no text encoding 'klingon'" in wrong(
        "evaluate", "--text-file", tmp_path / "old.txt", "--encoding", "klingon"
    )


def test_a_file_that_is_not_there(wrong, tmp_path):
    assert "There is no file" in wrong("evaluate", "--text-file", tmp_path / "none.txt")
    assert "is a directory" in wrong("evaluate", "--text-file", tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "[[1, 2, 101]]",
            "Token id 101 in window 0 is outside the vocabulary: the model knows ids 0 to 100",
        ),
        ("[[1, 2], [3, -1]]", "Token id -1 in window 1"),
        ("[[1, 2], [3]]", "Window 1 has 1 token ids and window 0 has 2"),
        ("[[1, 2.5]]", "2.5, which is not a token id"),
        ("[[1, true]]", "which is not a token id"),
        ("[[1]]", "at least 2 token ids"),
        ("[]", "a list of lists"),
        ("{}", "a list of lists"),
        ("[[1, 2]", "is not JSON"),
    ],
)
def test_token_ids_that_cannot_be(wrong, tmp_path, content, says):
    (tmp_path / "ids.json").write_text(content)
    assert says in wrong("evaluate", "--token-ids", tmp_path / "ids.json")


def test_options_that_do_not_go_together(wrong, tmp_path):
    (tmp_path / "ids.json").write_text("[[1, 2]]")
    assert "already in windows" in wrong("evaluate", "--token-ids", tmp_path / "ids.json", "--windows", 2)
    assert "use --limit" in wrong("evaluate", "--task", "grammar", "--windows", 2)
    assert "--task" in wrong("evaluate", "--text", TEXT, "--limit", 2)


def test_numbers_out_of_range(wrong):
    assert "at least 2 tokens" in wrong("analyze", "--text", TEXT, "--window-length", 1)
    assert "windows, not 0" in wrong("analyze", "--text", TEXT, "--windows", 0)
    assert "new tokens, not 0" in wrong("generate", "--prompt", "a", "--max-new-tokens", 0)
    assert "at least 1 item" in wrong("evaluate", "--task", "grammar", "--limit", 0)
    assert "cannot be negative" in wrong("rank", "--text", TEXT, *WINDOWS, "--protect=-1,0")


def test_a_weight_type_and_a_device_that_are_none(wrong):
    assert "float32" in wrong("evaluate", "--text", TEXT, *WINDOWS, "--dtype", "int8")
    wrong("evaluate", "--text", TEXT, *WINDOWS, "--device", "toaster")


def test_a_task_that_is_none(wrong, tmp_path):
    assert "no task 'trivia'" in wrong("evaluate", "--task", "trivia")
    file = tmp_path / "broken.jsonl"
    file.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n{"context": "a"}\n')
    assert "broken.jsonl, line 2: 'choices' is missing" in wrong("evaluate", "--task", file)


def test_no_text_at_all(entviz):
    status, _, errors = entviz("evaluate")
    assert status == 2
    assert "--text --text-file --token-ids --task is required" in errors
