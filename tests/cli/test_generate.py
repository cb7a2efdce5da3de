"""``entviz generate``: a continuation."""

from entviz.models import load


def test_json(answer, directory):
    loaded = load(str(directory))
    prompt = loaded.tokenizer("Once upon").input_ids
    found = answer("generate", "--prompt", "Once upon", "--drop", "layer.0", "--max-new-tokens", 7)
    assert found["token_ids"][: len(prompt)] == prompt
    assert len(prompt) < len(found["token_ids"]) <= len(prompt) + 7
    assert found["text"] == loaded.tokenizer.decode(found["token_ids"], skip_special_tokens=True)
    again = answer(
        *("generate", "--prompt", "Once upon", "--drop", "layer.0", "--max-new-tokens", 7, "--no-cache")
    )
    assert again["token_ids"] == found["token_ids"]


def test_text_alone_goes_to_standard_output(entviz):
    status, output, errors = entviz("generate", "--prompt", "Once upon")
    assert status == 0
    assert output.startswith("Once upon")
    assert "new tokens by the dense model." in errors
    assert "as fast as" not in errors  # there is nothing that it was timed in turn with


def test_how_fast_a_pruned_model_is_comes_with_its_spread(answer):
    found = answer("generate", "--prompt", "Once upon", "--drop", "layer.0", "--max-new-tokens", 12)
    for speed in (found["reading_speed"], found["writing_speed"]):
        assert 0 < speed["low"] <= speed["times"] <= speed["high"]
        assert speed["repeats"] >= 5
