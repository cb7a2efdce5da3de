"""A small stand-in for the Hugging Face hub on the loopback interface, with the answers of its documented HTTP API.

``with stand_in({"someone/model": directory}) as url:`` serves each directory as a repository. It answers what
huggingface_hub asks when a model is downloaded: the model's information, its tree, and its files.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def stand_in(
    repositories: Mapping[str, Path], *, gated: tuple[str, ...] = (), broken: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Serve directories as model repositories; yields the address and the list of what was asked for.

    Args:
        repositories: repository id to the directory with its files.
        gated: ids that ask for an account first.
        broken: ids for which the server fails.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            asked.append(path)
            is_api = path.startswith("api/models/")
            parts = path.removeprefix("api/models/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if name in broken:
                return self.answer(500, b"{}")
            if name in gated:
                return self.answer(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "restricted"})
            if name not in repositories:
                return self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            files = {
                str(p.relative_to(repositories[name])): p
                for p in sorted(repositories[name].rglob("*"))
                if p.is_file()
            }
            if is_api and rest[:1] == ["tree"]:
                tree = [
                    {"type": "file", "path": file, "size": p.stat().st_size, "oid": etag(p)}
                    for file, p in files.items()
                ]
                return self.answer(200, json.dumps(tree).encode())
            if is_api:
                siblings = [{"rfilename": file, "size": p.stat().st_size} for file, p in files.items()]
                info = {"id": name, "sha": REVISION, "siblings": siblings, "tags": [], "private": False}
                return self.answer(200, json.dumps(info).encode())
            if rest[:1] == ["resolve"] and "/".join(rest[2:]) in files:
                content = files["/".join(rest[2:])]
                return self.answer(
                    200, content.read_bytes(), {"ETag": f'"{etag(content)}"', "X-Repo-Commit": REVISION}
                )
            return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": REVISION})

        def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def etag(path: Path) -> str:
    """The git blob id of a file, which is what the hub sends as its ETag."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
