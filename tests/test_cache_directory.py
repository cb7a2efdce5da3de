"""Where files that can be made again are kept."""

from entviz.cache_directory import cache_directory


def test_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "elsewhere"))
    assert cache_directory() == tmp_path / "elsewhere"
    monkeypatch.setenv("ENTVIZ_CACHE", "~/of-mine")
    assert cache_directory().is_absolute()
    assert "~" not in str(cache_directory())
    monkeypatch.delenv("ENTVIZ_CACHE")
    assert cache_directory().name == "entviz"
