"""Messages between the server and the process that it started, over that process's standard streams.

A message belongs to a request, which has a number. It is sent as that number, its length, and its content as a pickle.
Reading a pickle can run code. Nobody else can write into these streams, and both ends run the same program as the same
user, so neither can do with it what it cannot do already: see SECURITY.md.
"""

from __future__ import annotations

import pickle
import struct
import threading
from typing import Any, BinaryIO, Final

_HEAD: Final = struct.Struct(">QQ")  # the number of the request, and the bytes that follow


class Pipe:
    """One end of the connection. Many threads can send; one receives.

    Args:
        source: the stream to read from.
        target: the stream to write to.
    """

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target
        self._sending = threading.Lock()

    def send(self, number: int, message: object) -> None:
        """Send a message.

        Raises ``OSError`` or ``ValueError`` if the other end is gone, and whatever pickle raises for what is not plain
        data. Then nothing was sent.
        """
        content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._target.write(_HEAD.pack(number, len(content)) + content)
            self._target.flush()

    def receive(self) -> tuple[int, bytes]:
        """The number of the next message's request, and its content for :func:`unpacked`.

        Raises ``EOFError`` if the other end is gone, ``OSError`` or ``ValueError`` if this end was closed.
        """
        number, length = _HEAD.unpack(self._read(_HEAD.size))
        return number, self._read(length)

    def close(self) -> None:
        """Close both streams. What another thread still sends is then refused."""
        for stream in (self._target, self._source):
            try:
                stream.close()
            except OSError:  # what was not sent yet has nobody to go to
                continue

    def _read(self, length: int) -> bytes:
        data = self._source.read(length)
        if len(data) < length:
            raise EOFError("the other process has ended")
        return data


def unpacked(content: bytes) -> Any:
    """The message that ``Pipe.receive`` returned as bytes. Only for what came from a pipe."""
    return pickle.loads(content)  # noqa: S301  from the other one of our two processes
