"""A format added to the registry is everywhere: shell, model card and Export page."""

import json

import pytest

from entviz.cli import main
from entviz.export import FORMATS, Format
from entviz.export.request import FormatOutput
from tests.app.conftest import no_failure, one_process, open_app, settle, words  # noqa: F401
from tests.tiny import build


def _write(request, directory, progress):
    (directory / "kept.txt").write_text(",".join(map(str, request.kept)))
    return FormatOutput('cat "{directory}/kept.txt"', language="bash", notes=["It is for counting."])


KEPT = Format(
    name="kept-layers",
    title="List of kept layers",
    purpose="The numbers of the layers that stay.",
    weights=None,
    objection=lambda model, drop: (
        "It knows no attention." if any(block.kind == "attn" for block in drop) else None
    ),
    limits=lambda model, drop: ["It has no weights."],
    write=_write,
)


@pytest.fixture(autouse=True)
def added():
    """The registry with one more line."""
    with FORMATS.added(KEPT):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    build("llama", layers=4).save_pretrained(folder)
    return folder


def test_the_shell_names_it(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in FORMATS)
    assert "kept-layers" in said


def test_the_shell_writes_it_with_a_card(model, tmp_path, capsys):
    asked = [
        "export",
        "--model",
        str(model),
        "--format",
        "kept-layers",
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert main([*asked, "--drop", "layer.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["removed_layers"]) == ("kept-layers", [])
    assert set(found["files"]) == {"README.md", "kept.txt", "recipe.json"}
    assert (tmp_path / "out" / "kept.txt").read_text() == "0,2,3"
    card = (tmp_path / "out" / "README.md").read_text()
    for part in (
        "List of kept layers: The numbers of the layers that stay.",
        "It is for counting.",
        "kept.txt",
    ):
        assert part in card


def test_the_shell_says_what_is_in_its_way(model, tmp_path, capsys):
    asked = ["export", "--model", str(model), "--format", "kept-layers", "--out", str(tmp_path / "out")]
    assert main([*asked, "--drop", "attn.1"]) == 2
    assert "It knows no attention." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_export_page_offers_writes_and_shows_it(open_app, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ENTVIZ_EXPORTS", str(tmp_path / "exports"))
    assert "The numbers of the layers that stay" in words(settle(open_app("export")))
    app = settle(open_app("export", drop="layer.12"))
    formats = app.radio(key="export.format")
    assert formats.options[-1] == "List of kept layers"
    formats.set_value("kept-layers").run()
    assert "It has no weights" in words(app)
    app.button(key="export.write").click().run()
    settle(app)
    target = tmp_path / "exports" / "smollm2-135m-kept-layers"
    assert "12" not in (target / "kept.txt").read_text().split(",")
    assert f'cat "{target}/kept.txt"' in [code.value for code in app.code]
    assert "kept.txt" in [button.proto.label for button in app.get("download_button")]
