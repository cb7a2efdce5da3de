"""The Export page on the real default model: what it says about each format, and what it writes."""

import io
import json
import zipfile

import pytest
from streamlit.runtime.scriptrunner import StopException

from entviz.blocks import PruneSet
from entviz.errors import ExportError, OptionError
from entviz.export import folder
from entviz.export.recipe import read_recipe
from entviz.runtime import runtime
from entviz.studies import Export
from entviz.text.passages import passages
from tests.app.conftest import settle, words

LAYERS = "layer.12,layer.20"
MIXED = "layer.12,attn.20"


@pytest.fixture
def exports(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_EXPORTS", str(tmp_path / "exports"))
    return tmp_path / "exports"


@pytest.fixture
def open_export(open_app, exports):
    def open_at(**link):
        return settle(open_app("export", **link))

    return open_at


def choose(app, name):
    return app.radio(key="export.format").set_value(name).run()


def write(app):
    app.button(key="export.write").click().run()
    return settle(app)


def said(app):
    """All text, without the signs that keep Markdown quiet."""
    return "\n".join([words(app), *(found.value for found in app.success)]).replace("\\", "").replace("*", "")


def test_without_a_prune_set_it_leads_to_prune(open_export):
    app = open_export()
    assert not app.exception
    assert "Nothing is dropped" in said(app)
    assert not app.radio
    (link,) = [each for each in app.get("page_link") if "Choose blocks" in each.proto.label]
    assert link.proto.page == "prune"


def test_each_format_says_what_is_in_its_way(open_export):
    app = open_export(drop=MIXED)
    assert "output projections of these blocks are set to zero" in said(app)
    assert not app.button(key="export.write").disabled
    for name in ("mergekit", "llama.cpp"):
        choose(app, name)
        assert "whole layers only, and the prune set has attn.20" in said(app)
        assert app.button(key="export.write").disabled
    choose(app, "llm-drop")
    assert "runs the dense model" in said(app)
    assert not app.button(key="export.write").disabled


def test_the_cost_is_the_evaluations(open_export, smollm2):
    import entviz

    app = open_export(drop=MIXED)
    text = passages()["news"].text
    windows = entviz.windows_from_text(text, smollm2.tokenizer, windows=2, window_length=64)
    found = entviz.evaluate(smollm2, windows, PruneSet.parse(MIXED))
    shown = {metric.label: metric.value for metric in app.metric}
    assert float(shown["Perplexity"]) == pytest.approx(found.perplexity, rel=1e-2)
    assert "SmolLM2 135M Instruct on the news passage, 2 windows of 64 tokens" in said(app)


def test_it_writes_a_checkpoint_once_and_replaces_it_only_when_asked(open_export, exports):
    app = write(open_export(drop=MIXED))
    target = exports / "smollm2-135m-hf"
    assert f"Written: {target}, " in said(app)
    assert "Loaded back with plain transformers" in said(app)
    assert f'from_pretrained("{target}"' in app.code[0].value
    assert json.loads((target / "config.json").read_text())["num_hidden_layers"] == 29
    assert read_recipe(target / "recipe.json").measured.text == "the news passage"
    assert "Too large for a download" in said(app)
    before = (target / "model.safetensors").stat().st_mtime_ns
    settle(app.run())  # a page that is drawn again writes nothing
    assert (target / "model.safetensors").stat().st_mtime_ns == before
    write(app)
    assert any("earlier export" in error.value for error in app.error)
    assert "The earlier export" in said(app)
    assert (target / "model.safetensors").stat().st_mtime_ns == before
    choose(app, "recipe")
    app.text_input(key="export.folder.smollm2-135m-recipe").set_value("smollm2-135m-hf").run()
    app.toggle(key="export.replace").set_value(True).run()
    write(app)
    assert sorted(path.name for path in target.iterdir()) == ["README.md", "recipe.json"]
    assert [path.name for path in exports.iterdir() if path.is_dir()] == ["smollm2-135m-hf"]


def test_a_click_is_not_lost_where_a_newer_one_stops_the_run(open_export, exports, monkeypatch):
    app = choose(open_export(drop=LAYERS), "mergekit")
    bench, asked = runtime(), []
    real = bench.ask

    def stopped_first(study, session, **options):
        if not isinstance(study, Export):
            return real(study, session, **options)
        asked.append(study)
        if len(asked) == 1:
            raise StopException
        return real(study, session, **options)

    monkeypatch.setattr(bench, "ask", stopped_first)
    app.button(key="export.write").click().run()
    assert not exports.exists()
    settle(app.run())
    assert (exports / "smollm2-135m-mergekit" / "mergekit.yaml").exists()
    assert len(asked) == 2
    assert asked[0] == asked[1]


def test_small_exports_can_be_downloaded(open_export, exports):
    app = choose(open_export(drop=LAYERS), "mergekit")
    app.text_input(key="export.criterion").set_value("by <eye>").run()
    write(app)
    labels = [button.proto.label for button in app.get("download_button")]
    assert {"mergekit.yaml", "README.md", "Download the recipe"} <= set(labels)
    exported = app.session_state["working.export"].result
    packed = zipfile.ZipFile(io.BytesIO(folder.archive(exported)))
    assert set(packed.namelist()) == {f"smollm2-135m-mergekit/{name}" for name in exported.files}
    assert "by \\<eye\\>" in packed.read("smollm2-135m-mergekit/README.md").decode()


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "/tmp/x", "C:\\x", "a\0b", "x.", "ä"])
def test_nothing_is_written_outside_the_folder(exports, name):
    with pytest.raises(ExportError, match="Name the folder"):
        folder.place(name)


def test_a_bad_folder_name_is_said_and_cannot_be_written(open_export, exports):
    app = open_export(drop=LAYERS)
    app.text_input(key="export.folder.smollm2-135m-hf").set_value("../elsewhere").run()
    assert "Name the folder with" in "".join(error.value for error in app.error)
    assert app.button(key="export.write").disabled
    assert not exports.exists()


def test_what_may_lie_in_the_folder_is_bounded(open_export, exports, monkeypatch):
    (exports / "one").mkdir(parents=True)
    (exports / "one" / "file").write_bytes(bytes(990_000))
    monkeypatch.setenv("ENTVIZ_EXPORTS_MB", "1")
    app = write(choose(open_export(drop=LAYERS), "recipe"))
    said = "".join(error.value for error in app.error).replace("\\", "")
    assert "take 1.0 of 1 MB, and this one takes about" in said
    assert [path.name for path in exports.iterdir() if path.is_dir()] == ["one"]
    monkeypatch.setenv("ENTVIZ_EXPORTS_MB", "lots")
    with pytest.raises(OptionError, match="whole number"):
        folder.room_bytes()


def test_a_prune_set_that_the_model_lacks_gives_a_sentence(open_export):
    app = write(open_export(drop="layer.99"))
    assert not app.exception
    assert any("layer" in error.value and "99" in error.value for error in app.error)


def test_the_repair_of_prune_is_written_and_in_the_recipe(open_export, exports):
    app = open_export(drop="attn.27", repair="bias", written="0", windows="1")
    assert "With its repair: Bias" in [toggle.label for toggle in app.toggle]
    assert "The repair " in said(app)
    assert not app.info, "nothing says that it is not"
    choose(app, "mergekit")
    assert "cannot hold a repair" in said(app)
    assert "With its repair: Bias" not in [toggle.label for toggle in app.toggle]
    write(choose(app, "recipe"))
    recipe = read_recipe(exports / "smollm2-135m-recipe" / "recipe.json")
    assert recipe.repair.method == "bias"
    assert recipe.repair.tokens >= 6 * 64
    assert recipe.repair.choice([]).texts, "its texts are built in"
