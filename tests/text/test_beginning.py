"""How texts begin, against plain transformers on token ids put together by hand."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

import entviz
from entviz.blocks import PruneSet
from entviz.cli import main
from entviz.comparison.grid.texts import split, windows_of
from entviz.decoder.states import StateCache
from entviz.errors import TextError
from entviz.evaluation.choices import in_tokens
from entviz.evaluation.many import evaluate_many
from entviz.evaluation.tasks import evaluate_task
from entviz.models import LoadedModel
from entviz.tasks import Item, Task
from entviz.text.beginning import beginning_of, tokenize
from entviz.text.windows import Windows
from tests.models.files import tokenizer
from tests.text.tokenizers import BOS, EOS, PAD, adding, knowing_more
from tests.tiny import build

TEXT = "the harbour was quiet and the gulls slept on the wall until the first boat came in " * 3
TEMPLATES = {"$A": (), "<s> $A": (BOS,), "$A </s>": (), "<s> $A </s>": (BOS,), "<pad> <s> $A": (PAD, BOS)}


def plain(text: str) -> list[int]:
    return tokenizer()(text).input_ids


def loss_of(model, rows, first: int) -> torch.Tensor:
    """The loss of each token from place ``first`` on, by the model's own forward pass."""
    ids = torch.tensor(rows)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].double()
    return cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")[:, first - 1 :]


@pytest.mark.parametrize(("template", "beginning"), TEMPLATES.items())
def test_what_begins_a_text_is_found_by_encoding(template, beginning):
    made = adding(template)
    assert beginning_of(made) == beginning
    found = tokenize("ab cd", made)
    assert (found.beginning, found.text) == (beginning, plain("ab cd"))
    assert tokenize("ab cd", made, begin=False).token_ids == plain("ab cd")


def test_a_token_that_the_text_spells_out_is_not_doubled():
    made = adding("<s> $A </s>")
    assert tokenize("<s>ab", made).token_ids == [BOS, *plain("ab")]
    assert tokenize("<s><s>ab", made).token_ids == [BOS, BOS, *plain("ab")]  # the second is the text's
    assert tokenize("ab</s>", made).token_ids == [BOS, *plain("ab"), EOS]  # so is this one
    assert tokenize("<s>ab", made, begin=False).token_ids == [BOS, *plain("ab")]
    assert tokenize("<s>ab", tokenizer()).token_ids == [BOS, *plain("ab")]


@pytest.mark.parametrize("drop", ["", "attn.1,layer.2"])
@pytest.mark.parametrize(("template", "beginning"), TEMPLATES.items())
def test_loss_is_that_of_plain_transformers_after_the_same_beginning(template, beginning, drop):
    loaded = LoadedModel.of(build("llama"), adding(template))
    windows = entviz.windows_from_text(TEXT, loaded.tokenizer, windows=3, window_length=20)
    rows = [plain(TEXT)[20 * i : 20 * i + 20] for i in range(3)]
    assert windows.token_ids.tolist() == rows
    assert windows.inputs.tolist() == [[*beginning, *row] for row in rows]
    found = entviz.evaluate(loaded, windows, PruneSet.parse(drop))
    # The same tokens are scored whatever begins a window: those after the text's first.
    expected = loss_of(loaded.model, windows.inputs.tolist(), len(beginning) + 1)
    assert found.dense_token_nll == pytest.approx(expected.numpy(), abs=1e-4)
    assert found.token_nll.shape == (3, 19)
    assert found.beginning == beginning
    if drop:
        [many] = evaluate_many(loaded, windows, [PruneSet.parse(drop)])
        assert many.window_nll == pytest.approx(found.token_nll.mean(axis=1), abs=1e-5)


def test_beginnings_share_states_but_no_scores():
    """The same ids as text after a beginning and as text alone: equal states, other tokens scored."""
    loaded = LoadedModel.of(build("llama"), adding("<s> $A"))
    after = loaded.windows(TEXT, windows=2, window_length=20)
    alone = Windows.of(after.inputs.tolist())
    cache = StateCache(10**7)
    drop = PruneSet.parse("attn.3")
    first, second = (entviz.evaluate(loaded, windows, drop, cache=cache) for windows in (after, alone))
    assert after.fingerprint != alone.fingerprint
    assert second.token_nll[:, 1:] == pytest.approx(first.token_nll)
    assert second.token_nll.shape == (2, 20)


def test_the_beginning_is_one_of_the_tokens_whose_entropy_is_measured():
    loaded = LoadedModel.of(build("llama"), adding("<s> $A"))
    windows = loaded.windows(TEXT, windows=2, window_length=30)
    found = entviz.analyze(loaded, windows, ("bucket", "cosine"))
    same = entviz.analyze(loaded, Windows.of(windows.inputs.tolist()), ("bucket", "cosine"))
    assert found.window_length == 30
    assert found.sites["value"].tolist() == pytest.approx(same.sites["value"].tolist())
    assert found.blocks["value"].tolist() == pytest.approx(same.blocks["value"].tolist())
    bare = entviz.analyze(loaded, loaded.windows(TEXT, windows=2, window_length=30, begin=False), ("bucket",))
    assert bare.sites["value"].tolist() != pytest.approx(
        found.sites[found.sites["metric"] == "bucket"]["value"].tolist()
    )


def test_parts_of_windows_begin_as_the_whole_does():
    loaded = LoadedModel.of(build("llama"), adding("<s> $A"))
    windows = loaded.windows(TEXT, windows=4, window_length=20)
    assert windows[[2, 0]].inputs.tolist() == [windows.inputs[2].tolist(), windows.inputs[0].tolist()]
    assert windows[1:3].beginning == (BOS,)
    parts = split(windows)
    assert (parts.calibration.beginning, parts.measured.beginning) == ((BOS,), (BOS,))
    others = windows_of([TEXT, "too short"], loaded, 20, 3)
    assert others.inputs.tolist() == windows.inputs[:3].tolist()


@pytest.mark.parametrize("template", ["<s> $A", "<s> $A </s>"])
def test_generation_goes_on_from_the_prompt(template):
    loaded = LoadedModel.of(build("llama"), adding(template))
    found = entviz.generate(loaded, "the gulls", PruneSet(), max_new_tokens=6)
    prompt = [BOS, *plain("the gulls")]
    wanted = loaded.model.generate(
        torch.tensor([prompt]), max_new_tokens=6, do_sample=False, use_cache=False, pad_token_id=PAD
    )
    assert found.token_ids == wanted[0].tolist()
    assert entviz.generate(loaded, "<s>the gulls", PruneSet(), max_new_tokens=6).token_ids == found.token_ids
    bare = entviz.generate(loaded, "the gulls", PruneSet(), max_new_tokens=1, begin=False)
    assert bare.token_ids[:-1] == plain("the gulls")
    assert "read without <s>" in bare.notes[0]
    assert entviz.generate(loaded, "", PruneSet(), max_new_tokens=1).token_ids[:-1] == [BOS]
    with pytest.raises(TextError, match="prompt is empty"):
        entviz.generate(loaded, "", PruneSet(), begin=False)


@pytest.mark.parametrize("template", ["<s> $A", "<s> $A </s>", "$A </s>", "$A"])
def test_choices_are_scored_after_their_context(template):
    loaded = LoadedModel.of(build("llama"), adding(template))
    item = Item(("the gulls",) * 2, ("slept", "came in"), 0)
    beginning = TEMPLATES[template]
    found = evaluate_task(loaded, Task("one", (item,)), PruneSet())
    for place, choice in enumerate(item.choices):
        context, ids = plain("the gulls"), [*beginning, *plain(f"the gulls {choice}")]
        expected = -loss_of(loaded.model, [ids], len(beginning) + len(context)).sum()
        assert found.log_likelihood[0, place] == pytest.approx(float(expected), abs=1e-4)


def test_a_choice_without_context_needs_something_before_it():
    one = in_tokens(LoadedModel.of(build("llama"), adding("<pad> <s> $A")), [("", "ab")]).choices[0]
    assert one.ids == (PAD, BOS, *plain("ab"))
    for begin in (True, False):
        one = in_tokens(LoadedModel.of(build("llama"), tokenizer()), [("", "ab")], begin=begin).choices[0]
        assert (one.ids, one.scored) == ((BOS, *plain("ab")), len(plain("ab")))


def test_a_token_without_an_embedding_is_named():
    # The model has 101 embeddings, and the tokenizer 98 tokens before those added.
    made = knowing_more("<one>", "<two>", "<three>", "<four>", "<five>")
    loaded = LoadedModel.of(build("llama"), made)
    beyond = next(token for token in made.get_added_vocab() if made.convert_tokens_to_ids(token) >= 101)
    known = loaded.tokenize("ab<one>")
    assert max(known.text) < 101
    said = f"token '{beyond}', number .* embeddings for the numbers 0 to 100 only"
    with pytest.raises(TextError, match=said):
        loaded.windows(f"{TEXT}{beyond}", window_length=20)
    with pytest.raises(TextError, match=said):
        entviz.generate(loaded, f"ab{beyond}", PruneSet())
    with pytest.raises(TextError, match=f"Item 0 cannot be scored.*{said}"):
        evaluate_task(loaded, Task("one", (Item(("ab",) * 2, ("cd", beyond), 0),)), PruneSet())
    # Who cuts windows with the tokenizer alone hears of it when the model runs.
    windows = entviz.windows_from_text(f"{beyond}{TEXT}", made, windows=1, window_length=20)
    with pytest.raises(TextError, match="is outside the vocabulary: the model knows ids 0 to 100"):
        entviz.evaluate(loaded, windows, PruneSet())
    with pytest.raises(TextError, match="Token id -1 is outside"):
        entviz.analyze(loaded, Windows.of([[3, -1] * 20]), ("cosine",))


@pytest.fixture
def directory(tmp_path):
    """A tiny model whose tokenizer adds ``<s>`` and ``</s>``, as files."""
    build("llama").save_pretrained(tmp_path / "model")
    adding("<s> $A </s>").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def run(capsys, *arguments: object) -> tuple[dict, str]:
    assert main([*map(str, arguments), "--json", "--no-keep"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_commands_say_how_windows_begin(directory, capsys):
    asked = ["--model", directory, "--text", TEXT, "--windows", 2, "--window-length", 20]
    model = build("llama")
    rows = [plain(TEXT)[:20], plain(TEXT)[20:40]]
    found, err = run(capsys, "evaluate", *asked)
    with_it = loss_of(model, [[BOS, *row] for row in rows], 2).mean().exp()
    assert found["dense"]["perplexity"] == pytest.approx(float(with_it), rel=1e-4)
    assert found["notes"] == [
        "Each window begins with <s>, as the model's tokenizer has it. It is measured as one more token of the window, "
        "and is not scored."
    ]
    assert found["notes"][0] in err
    assert (found["windows"], found["window_length"], found["beginning"]) == (2, 20, [BOS])
    found, err = run(capsys, "evaluate", *asked, "--no-bos")
    without = loss_of(model, rows, 1).mean().exp()
    assert found["dense"]["perplexity"] == pytest.approx(float(without), rel=1e-4)
    assert found["notes"] == [
        "The windows are read without <s>, which the model's tokenizer puts before every text."
    ]
    for command in ("analyze", "rank", "trust", "interactions", "damages", "compare"):
        more = ["--metric", "bucket"] if command == "analyze" else []
        more += ["--criteria", "cosine", "--budgets", "1"] if command == "compare" else []
        more += ["--criterion", "cosine"] if command == "rank" else []
        more += ["--estimators", "bucket"] if command == "trust" else []
        found, _ = run(capsys, command, *asked, *more)
        assert any("begins with <s>" in note for note in found["notes"]), command


def test_token_ids_are_read_as_they_are(directory, tmp_path, capsys):
    rows = [plain(TEXT)[:20], plain(TEXT)[20:40]]
    file = tmp_path / "ids.json"
    file.write_text(json.dumps(rows))
    found, _ = run(capsys, "evaluate", "--model", directory, "--token-ids", file)
    expected = loss_of(build("llama"), rows, 1).mean().exp()
    assert found["dense"]["perplexity"] == pytest.approx(float(expected), rel=1e-4)
    assert "read without <s>" in found["notes"][0]
    file.write_text(json.dumps([[BOS, *row] for row in rows]))
    assert "notes" not in run(capsys, "evaluate", "--model", directory, "--token-ids", file)[0]
    assert main(["evaluate", "--model", str(directory), "--token-ids", str(file), "--no-bos"]) == 2
    assert "--no-bos is for a text" in capsys.readouterr().err


def test_the_default_model_begins_with_nothing(smollm2):
    windows = entviz.windows_from_text(
        "Once upon a time there was a house.", smollm2.tokenizer, window_length=4
    )
    assert windows.beginning == ()
    assert smollm2.tokenizer.decode(windows.inputs[0]) == "Once upon a time"
    assert entviz.analyze(smollm2, windows, ("cosine",)).notes == ()


def test_an_export_is_compared_on_windows_that_begin_alike(directory, tmp_path, capsys):
    asked = ["--model", directory, "--text", TEXT, "--windows", 2, "--window-length", 20, "--drop", "layer.1"]
    assert main(["export", *map(str, asked), "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["check"]["tokens"], "begins with <s>" in found["notes"][0]) == (38, True)
    assert "begins with" in (tmp_path / "out" / "README.md").read_text()
