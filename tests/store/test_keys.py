"""Keys depend on everything that a result depends on."""

from entviz.store import request_key, result_key


def test_keys_depend_on_everything_that_a_result_does():
    same = {"code": "c", "model": "f", "tokens": "t", "options": {"drop": "attn.1", "dtype": "float32"}}
    first = result_key("evaluation", **same)
    assert result_key("evaluation", **same) == first
    assert result_key("evaluation", **same | {"options": {"dtype": "float32", "drop": "attn.1"}}) == first
    others = [
        result_key("analysis", **same),
        result_key("evaluation", **same | {"code": "d"}),
        result_key("evaluation", **same | {"model": "g"}),
        result_key("evaluation", **same | {"tokens": "u"}),
        result_key("evaluation", **same | {"options": {"drop": "attn.2", "dtype": "float32"}}),
        request_key("evaluation", code="c", model="f", text="t", options=same["options"]),
    ]
    assert len({first, *others}) == 7


def test_keys_depend_on_the_program(monkeypatch):
    first = result_key("evaluation", code="c", model="f", tokens="t", options={})
    monkeypatch.setattr("entviz.store.keys.program", lambda: "entviz 9")
    assert result_key("evaluation", code="c", model="f", tokens="t", options={}) != first
