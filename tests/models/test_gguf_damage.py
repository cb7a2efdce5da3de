"""A conversion damaged on the disk is repeated and reported; a full disk leaves nothing half written."""

import logging
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from entviz.errors import ModelError
from entviz.models import load
from entviz.models.gguf import converted
from tests.models.files import write_gguf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    return path


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a flipped bit in the weights": lambda d: flip(d / "model.safetensors"),
    "a flipped bit in the tokenizer": lambda d: flip(d / "tokenizer.json"),
    "a flipped bit in the digests": lambda d: flip(d / "entviz-digests.json"),
    "weights cut short": lambda d: (d / "model.safetensors").write_bytes(
        (d / "model.safetensors").read_bytes()[:-1000]
    ),
    "empty weights": lambda d: (d / "model.safetensors").write_bytes(b""),
    "no config": lambda d: (d / "config.json").unlink(),
    "no digests": lambda d: (d / "entviz-digests.json").unlink(),
    "digests of another kind": lambda d: (d / "entviz-digests.json").write_text("[1]"),
    "a file more": lambda d: (d / "adapter_config.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_conversion_is_made_again_and_said(cache, file, damage, caplog):
    right = load(str(file)).fingerprint
    directory = converted(file)
    DAMAGES[damage](directory)
    with caplog.at_level(logging.WARNING, "entviz"):
        assert load(str(file)).fingerprint == right
    assert [record.getMessage() for record in caplog.records] == [
        f"The conversion of {file} was damaged on the disk, so it is made again."
    ]
    caplog.clear()
    assert load(str(file)).fingerprint == right
    assert not caplog.records
    assert not list((cache / "models").glob("*.partial"))


def test_a_shell_is_told(cache, file):
    flip(converted(file) / "model.safetensors")
    program = "import sys; from entviz.models import load; load(sys.argv[1])"
    finished = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    assert (
        finished.stderr.strip() == f"The conversion of {file} was damaged on the disk, so it is made again."
    )


def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(cache, file):
    """Real writes that really fail: the system refuses files of more than 30 KB to this process."""
    program = (
        "import sys; from entviz.errors import ModelError; from entviz.models import load\n"
        "try: load(sys.argv[1])\n"
        "except ModelError as error: print(error)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    assert "cannot be written to" in finished.stdout, finished.stderr
    assert "Free some space there" in finished.stdout
    assert "Traceback" not in finished.stderr
    assert [path.suffix for path in (cache / "models").iterdir()] == [".lock"]
    assert load(str(file)).layers == 2


def test_room_is_compared_before_anything_is_written(cache, file, monkeypatch):
    free = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("entviz.models.gguf.converting.shutil.disk_usage", lambda _: free)
    with pytest.raises(
        ModelError, match=r"needs 0\.1 GB of disk space once it is unpacked, but only 0\.0 GB are free"
    ):
        load(str(file))


def test_file_that_changes_while_it_is_read_is_refused(cache, file, monkeypatch):
    from entviz.models.gguf import converting

    def read_slowly(*arguments, **options):
        found = read(*arguments, **options)
        write_gguf(file, seed=3)
        return found

    read = converting.read_gguf
    monkeypatch.setattr(converting, "read_gguf", read_slowly)
    with pytest.raises(ModelError, match="changed while it was being read"):
        load(str(file))
