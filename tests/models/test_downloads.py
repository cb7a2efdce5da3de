"""A download starts only if there is room: within the setting, and on the disk beside other running downloads."""

import shutil
from types import SimpleNamespace

import pytest

from entviz.errors import ModelError, OptionError
from entviz.models import downloads
from entviz.models.downloads import room_for

GB = 10**9


@pytest.fixture
def free(monkeypatch):
    """``free(5 * GB)`` makes the disk have so much free."""

    def have(count):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=count))

    return have


def test_the_setting_bounds_it(monkeypatch, tmp_path, free):
    free(100 * GB)
    monkeypatch.setenv("ENTVIZ_DOWNLOAD_MB", "300")
    with room_for("org/model", 300_000_000, tmp_path):
        pass
    with (
        pytest.raises(
            ModelError, match=r"download of org/model has 300\.1 MB, but at most 300 MB are allowed"
        ),
        room_for("org/model", 300_100_000, tmp_path),
    ):
        pytest.fail("it began")
    monkeypatch.setenv("ENTVIZ_DOWNLOAD_MB", "much")
    with pytest.raises(OptionError, match="whole number"), room_for("org/model", 1, tmp_path):
        pytest.fail("it began")


def test_the_disk_bounds_it_and_keeps_some(tmp_path, free):
    free(5 * GB)
    with room_for("org/model", 4 * GB, tmp_path / "cache"):
        pass
    with (
        pytest.raises(
            ModelError,
            match=r"needs 4\.1 GB of disk space, and 1 GB must stay free, but only 5\.0 GB are free\.",
        ),
        room_for("org/model", 4_100_000_000, tmp_path / "cache"),
    ):
        pytest.fail("it began")


def test_what_is_all_here_needs_no_room(tmp_path, free):
    free(0)
    with room_for("org/model", 0, tmp_path):
        pass


def test_downloads_at_once_share_what_is_free(tmp_path, free):
    free(8 * GB)
    with room_for("org/one", 4 * GB, tmp_path) as arrived:
        with (
            pytest.raises(ModelError, match=r"4\.0 GB are free beside the 4\.0 GB that other downloads"),
            room_for("org/two", 4 * GB, tmp_path),
        ):
            pytest.fail("it began")
        # What has arrived is on the disk, and no longer promised.
        free(5 * GB)
        arrived(3 * GB)
        with room_for("org/two", 3 * GB, tmp_path):
            pass
    assert downloads._left == {}
