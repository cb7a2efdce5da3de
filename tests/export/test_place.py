"""Directories are written whole or not at all, and nothing of someone's own is ever removed."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from entviz.blocks import PruneSet
from entviz.errors import Cancelled, ExportError
from entviz.export import export
from entviz.export.place import new_directory
from entviz.export.recipe import Recipe

DROP = PruneSet.parse("layer.1")


def an_export(directory: Path, replace: bool = False) -> None:
    with new_directory(directory, replace=replace) as new:
        (new / "recipe.json").write_bytes(Recipe(DROP).to_bytes())


def test_it_is_there_only_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "out"
    with new_directory(target, replace=False) as new:
        (new / "file").write_text("x")
        assert not target.exists()
        assert new.parent == target.parent
    assert [path.name for path in target.iterdir()] == ["file"]
    assert [path.name for path in target.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, Cancelled, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, error):
    def write() -> None:
        with new_directory(tmp_path / "out", replace=False) as new:
            (new / "file").write_text("x")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_goes_only_when_asked_and_after_the_new_one_is_whole(tmp_path):
    target = tmp_path / "out"
    an_export(target)
    (target / "old").touch()
    with pytest.raises(ExportError, match="--force"):
        an_export(target)
    with pytest.raises(RuntimeError), new_directory(target, replace=True):
        raise RuntimeError
    assert (target / "old").exists()
    an_export(target, replace=True)
    assert [path.name for path in target.iterdir()] == ["recipe.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("replace", [False, True])
def test_other_directories_and_files_are_never_touched(tmp_path, replace):
    own = tmp_path / "own"
    own.mkdir()
    (own / "recipe.json").write_text("eggs and flour")
    for target in (own, own / "recipe.json"):
        with pytest.raises(ExportError):
            an_export(target, replace)
    link = tmp_path / "link"
    an_export(tmp_path / "real")
    link.symlink_to(tmp_path / "real")
    with pytest.raises(ExportError, match="not a directory"):
        an_export(link, replace)
    assert (own / "recipe.json").read_text() == "eggs and flour"


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    an_export(tmp_path / "out")
    assert (tmp_path / "out" / "recipe.json").exists()


def test_a_place_that_cannot_hold_it_is_named_before_any_work(tmp_path):
    with (
        pytest.raises(ExportError, match="are free"),
        new_directory(tmp_path / "out", replace=False, needed_bytes=10**18),
    ):
        pytest.fail("nothing should be written")
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot be written"):
        an_export(tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["hf", "llm-drop", "llama.cpp"])
def test_a_full_disk_gives_a_sentence_and_leaves_nothing(tiny, tmp_path, name):
    """A limit on the size of files fails writing in the middle, as a full disk does."""
    loaded = tiny("llama")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        with pytest.raises(ExportError) as caught:
            export(loaded, DROP, name, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "ake room" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    export(loaded, DROP, name, tmp_path / "out")


def test_a_killed_process_leaves_no_target_and_the_next_tidies_up(tmp_path):
    """Killed while it replaces an earlier export, which is then still there and whole."""
    target = tmp_path / "out"
    an_export(target)
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from entviz.export.place import new_directory
        with new_directory(Path(sys.argv[1]), replace=True) as new:
            (new / "model.safetensors").write_bytes(bytes(1_000_000))
            print("half", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(target)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "half\n"
    # Another export, while that one is at work, leaves its files alone.
    an_export(target, replace=True)
    assert len(list(tmp_path.iterdir())) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert [path.name for path in target.iterdir()] == ["recipe.json"]
    an_export(target, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_between_two_renames_the_earlier_export_comes_back(tmp_path):
    target = tmp_path / "out"
    an_export(target)
    from entviz.export.place import _HOST

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    target.rename(tmp_path / f".out.{_HOST}-{gone.pid}.0a1b2c3d.replaced")
    with pytest.raises(ExportError, match="earlier export"):
        an_export(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
