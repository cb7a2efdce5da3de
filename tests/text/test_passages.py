"""The built-in texts."""

from entviz.text.passages import passages


def test_passages_of_different_registers(smollm2):
    assert list(passages()) == ["news", "story", "code", "law", "medicine", "dialogue", "program"]
    for passage in passages().values():
        assert len(smollm2.tokenizer(passage.text).input_ids) >= 512, passage.name
