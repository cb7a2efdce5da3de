"""Bytes and JSON from outside are limited in size."""

import os
import threading

import pytest

from entviz.reading import parse_json, read_bytes


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="at most"):
        read_bytes(path, 4)


def test_a_named_pipe_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="not a file"):
        read_bytes(path, 5)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_link_to_a_device_is_refused(tmp_path, device):
    path = tmp_path / "config.json"
    path.symlink_to(device)
    with pytest.raises(ValueError, match="not a file"):
        read_bytes(path, 5)


def test_a_pipe_that_a_person_named_is_read_to_its_end():
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(b"a" * 100_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_bytes(f"/dev/fd/{reading}", 200_000, streams=True) == b"a" * 100_000
    finally:
        writer.join()
        os.close(reading)


def test_what_is_missing_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", 5)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path, 5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "at column 2"),
        (b"{\n1", "at line 2, column 1"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "5000 digits"),
        (b"[1, " + b"9" * 21 + b"]", "21 digits"),
    ],
)
def test_what_is_no_json_says_why(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_json_is_read():
    expected = {"a": [1, 2.5, None]}
    assert parse_json(b"\xef\xbb\xbf" + b'{"a": [1, 2.5, null]}') == expected
    assert parse_json('{"a": [1, 2.5, null]}') == expected
