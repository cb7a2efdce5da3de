"""Line ends are read as LF, wherever a text comes from, and a note says so."""

import json

import pytest

from entviz.cli import main
from entviz.text.files import decode_text, plain_line_ends, read_text
from tests.models.files import saved


@pytest.mark.parametrize(("end", "named"), [("\r\n", "CRLF"), ("\r", "CR"), ("\n", None)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_files(tmp_path, end, named, encoding):
    (tmp_path / "it.txt").write_bytes(end.join(["one", "", "two", ""]).encode(encoding))
    notes: list[str] = []
    wanted = encoding.removesuffix("-sig")
    assert read_text(tmp_path / "it.txt", wanted, note=notes.append) == "one\n\ntwo\n"
    assert decode_text((tmp_path / "it.txt").read_bytes(), wanted) == "one\n\ntwo\n"
    assert [named in note and "it.txt" in note for note in notes] == ([True] if named else [])


def test_mixed_line_ends():
    notes: list[str] = []
    assert plain_line_ends("a\r\nb\rc\nd\r\r\n", note=notes.append) == "a\nb\nc\nd\n\n"
    assert notes == ["The text ends its lines with CRLF; they are read as ended with LF."]


def test_commands_give_the_numbers_of_lf(tmp_path, capsys):
    saved(tmp_path / "model")
    lines = ["the harbour was quiet", "and the gulls slept", "until the first boat came in", ""] * 2
    found = {}
    for name, end in (("lf", "\n"), ("crlf", "\r\n")):
        (tmp_path / f"{name}.txt").write_bytes(end.join(lines).encode())
        for source in (("--text-file", str(tmp_path / f"{name}.txt")), ("--text", end.join(lines))):
            arguments = ["evaluate", "--model", str(tmp_path / "model"), *source, "--windows", "2"]
            assert main([*arguments, "--window-length", "30", "--json", "--no-keep"]) == 0
            out, err = capsys.readouterr()
            found[name, source[0]] = json.loads(out)
            assert ("CRLF; they are read as ended with LF" in err) == (name == "crlf")
    assert len({one["nll"] for one in found.values()}) == 1
    assert "notes" not in found["lf", "--text"]
    assert "ends its lines with CRLF" in found["crlf", "--text-file"]["notes"][0]
    prompt = ["generate", "--model", str(tmp_path / "model"), "--max-new-tokens", "1", "--json", "--no-keep"]
    assert main([*prompt, "--prompt", "one\r\ntwo"]) == 0
    assert "\r" not in json.loads(capsys.readouterr().out)["text"]
