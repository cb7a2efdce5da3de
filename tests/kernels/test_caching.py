"""Compiled kernels are read only from directories to which nobody but the user can write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from entviz.kernels.caching import only_owner_writes

PROGRAM = """
import torch
from numba import config
from entviz import kernels
assert kernels.load() is not None
assert config.CACHE_DIR == {before!r}
"""


@pytest.fixture
def private(tmp_path):
    directory = tmp_path / "private"
    directory.mkdir(mode=0o700)
    if not only_owner_writes(directory):
        pytest.skip("others can write above pytest's directory")
    return directory


def test_modes_and_owners_count(private, monkeypatch):
    private.chmod(0o755)
    (private / "kernel.nbc").touch(mode=0o644)
    assert only_owner_writes(private)
    for mode in (0o775, 0o757, 0o777, 0o1777):
        private.chmod(mode)
        assert not only_owner_writes(private)
    private.chmod(0o755)
    (private / "kernel.nbc").chmod(0o664)
    assert not only_owner_writes(private)
    private.chmod(0o700)
    assert only_owner_writes(private)
    assert not only_owner_writes(private / "none")


def test_directories_above_count(private):
    inner = private / "inner"
    inner.mkdir(mode=0o700)
    private.chmod(0o777)
    assert not only_owner_writes(inner)
    private.chmod(0o1777)  # sticky
    assert only_owner_writes(inner)


def test_another_owner_is_not_trusted(private, monkeypatch):
    if os.geteuid() == 0:
        os.chown(private, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not only_owner_writes(private)


@pytest.mark.exhaustive  # every kernel is compiled
def test_a_cache_that_others_can_write_to_is_not_read(tmp_path, private):
    """A whole process with numba's cache in an open directory keeps its kernels in entviz's own."""
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(public), "ENTVIZ_CACHE": str(private)}
    for _ in range(2):  # compiled, then read
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(before=str(public))],
            cwd=Path(__file__).parents[2],
            env=environment,
            check=True,
        )
    assert not list(public.rglob("*.nbc"))
    assert list((private / "kernels").rglob("*.nbc"))
