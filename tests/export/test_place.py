"""Directories are written whole or not at all, and a user's own files are never removed."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
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
    target.rename(tmp_path / f".out.{_HOST}-{gone.pid}.0a1b2c3d.70.replaced")
    with pytest.raises(ExportError, match="earlier export"):
        an_export(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each export and of each that is being written, by name."""
    return {
        path.name: sum(file.stat().st_size for file in path.iterdir())
        for path in folder.iterdir()
        if path.is_dir()
    }


def test_exports_at_once_share_the_room_that_there_is(tiny, tmp_path):
    """Six real exports, begun together; there is room for two and a half of them."""
    loaded = tiny("llama")
    export(loaded, DROP, "hf", tmp_path / "alone" / "out")
    size = sum(sizes(tmp_path / "alone").values())
    room, folder = int(2.5 * size), tmp_path / "shared"
    together = threading.Barrier(6)

    def refusal(number: int) -> str:
        together.wait()
        try:
            export(loaded, DROP, "hf", folder / f"out-{number}", room_bytes=room)
        except ExportError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(6) as pool:
        refused = [words for words in pool.map(refusal, range(6)) if words]
    assert all("ENTVIZ_EXPORTS_MB" in words for words in refused)
    written = 6 - len(refused)
    assert len(sizes(folder)) == written
    assert 1 <= written <= 2
    assert sum(sizes(folder).values()) <= room


def test_room_is_held_by_the_exports_under_way_and_given_back_by_one_that_is_refused(tmp_path):
    def new(name: str):
        return new_directory(tmp_path / name, replace=False, needed_bytes=400_000, room_bytes=1_000_000)

    with new("one"), new("two"):
        with (
            pytest.raises(ExportError, match=r"take 0\.8 of 1 MB, and this one takes about 0\.4 MB"),
            new("three"),
        ):
            pytest.fail("there is no room")
        assert len(sizes(tmp_path)) == 2
    with new("three"):
        pass


def test_what_becomes_larger_than_estimated_is_not_kept(tmp_path):
    an_export(tmp_path / "earlier")
    with (
        pytest.raises(ExportError, match=r"take 1\.2 of 1 MB with this one"),
        new_directory(tmp_path / "out", replace=False, needed_bytes=10, room_bytes=1_000_000) as new,
    ):
        (new / "model.safetensors").write_bytes(bytes(1_200_000))
    assert list(sizes(tmp_path)) == ["earlier"]


def test_replacing_counts_both_until_the_earlier_one_is_gone(tmp_path):
    an_export(tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").write_bytes(bytes(600_000))
    with (
        pytest.raises(ExportError, match="ENTVIZ_EXPORTS_MB"),
        new_directory(tmp_path / "out", replace=True, needed_bytes=600_000, room_bytes=1_000_000),
    ):
        pytest.fail("there is no room")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_another_processs_room_is_held_until_it_is_killed(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from entviz.export.place import new_directory
        with new_directory(Path(sys.argv[1]), replace=False, needed_bytes=700_000, room_bytes=1_000_000) as new:
            print("begun", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "theirs")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "begun\n"

    def ours():
        return new_directory(tmp_path / "ours", replace=False, needed_bytes=400_000, room_bytes=1_000_000)

    with pytest.raises(ExportError, match="including those still running"), ours():
        pytest.fail("there is no room")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with ours():
        pass
    assert list(sizes(tmp_path)) == ["ours"]


@pytest.mark.parametrize("name", ["~no-such-user/out", "~\ud800/out"])
def test_a_home_of_nobody_is_no_place(name):
    with (
        pytest.raises(ExportError, match="cannot be written to"),
        new_directory(Path(name), replace=False),
    ):
        pass
