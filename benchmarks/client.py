"""A session that speaks the browser's protocol to a running dashboard, without a browser.

async with session(port) as visitor:
    await visitor.open("prune", {"windows": 4, "length": 128})
    number = await visitor.wait(lambda screen: screen.perplexity("attn.3"), seconds=60)
    await visitor.submit("Paste a prune set", "attn.7", "Use it")
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from entviz.words.phrases import some
from pages.parts.prune.numbers import NAMED
from pages.parts.shared.markdown import escape

Found = TypeVar("Found")


@dataclass
class Screen:
    """What the session sees: the elements by their place, and the fragments that want to be run again."""

    elements: dict[tuple[int, ...], Any] = field(default_factory=dict)
    fragments: dict[str, float] = field(default_factory=dict)

    def take(self, message: ForwardMsg) -> None:
        """Take in what the server says. A run of the whole page clears the screen; a fragment's draws over it."""
        kind = message.WhichOneof("type")
        if kind == "new_session" and not message.metadata.run.fragment_ids:
            self.elements.clear()
            self.fragments.clear()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
        elif kind == "auto_rerun":
            self.fragments[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for name in message.stop_auto_rerun.fragment_ids:
                self.fragments.pop(name, None)

    def of_kind(self, kind: str) -> list[Any]:
        """The elements of a kind, such as ``metric``."""
        return [getattr(one, kind) for one in self.elements.values() if one.WhichOneof("type") == kind]

    def perplexity(self, drop: str, *, finished: bool = True) -> str | None:
        """The perplexity of a prune set as it is written on the Prune page; None while there is none."""
        texts = [one.body for one in self.of_kind("markdown")]
        title = f"**Without {escape(some(drop.split(','), NAMED))}**"
        # The title stands over the continuation too; what was measured is said of the numbers alone.
        done = title in texts and any(text.startswith("Measured on ") for text in texts)
        so_far = any(text.startswith(f"{title} :small[(measured so far") for text in texts)
        if not (done or (so_far and not finished)):
            return None
        return next((one.body for one in self.of_kind("metric") if one.label == "Perplexity"), None)


class Visitor:
    """One session: what it does, and what it then sees."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection, self.screen = connection, Screen()
        self.page, self.query = "", ""
        self.hash = ""  # of the page's script, as the server calls it
        self._due: dict[str, float] = {}

    async def open(self, page: str, query: Mapping[str, object]) -> None:
        """Open a page as a link does."""
        self.page, self.query = page, urlencode(query)
        await self._send()

    async def submit(self, field_label: str, text: str, button_label: str) -> None:
        """Write into a field and press the button of its form."""
        names = await self.wait(lambda screen: _ids(screen, field_label, button_label), seconds=30)
        if names is None:
            raise LookupError(f"there is no field {field_label!r} with a button {button_label!r}")
        entry, button = names
        await self._send(fields={entry: text}, pressed=button)

    async def wait(self, look: Callable[[Screen], Found | None], seconds: float) -> Found | None:
        """What ``look`` finds on the screen, as soon as it finds it; None after so many seconds."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            if (found := look(self.screen)) is not None:
                return found
            await self._run_fragments()
            with contextlib.suppress(TimeoutError):
                self._take(await asyncio.wait_for(self.connection.recv(decode=False), 0.02))
        return None

    def _take(self, data: bytes) -> None:
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "navigation":
            self.hash = message.navigation.page_script_hash
        self.screen.take(message)

    async def _run_fragments(self) -> None:
        now = time.perf_counter()
        self._due = {name: due for name, due in self._due.items() if name in self.screen.fragments}
        for name, interval in self.screen.fragments.items():
            if now >= self._due.setdefault(name, now + interval):
                self._due[name] = now + interval
                await self._send(fragment=name)

    async def _send(
        self, *, fragment: str = "", fields: Mapping[str, str] | None = None, pressed: str = ""
    ) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name, state.page_script_hash = self.query, self.page, self.hash
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        state.context_info.timezone = "UTC"
        for name, text in (fields or {}).items():
            state.widget_states.widgets.add(id=name, string_value=text)
        if pressed:
            state.widget_states.widgets.add(id=pressed, trigger_value=True)
        await self.connection.send(message.SerializeToString())


def _ids(screen: Screen, field_label: str, button_label: str) -> tuple[str, str] | None:
    entries = [one.id for one in screen.of_kind("text_input") if one.label == field_label]
    buttons = [one.id for one in screen.of_kind("button") if one.label == button_label]
    return (entries[0], buttons[0]) if entries and buttons else None


@contextlib.asynccontextmanager
async def session(port: int) -> AsyncIterator[Visitor]:
    """Come to the dashboard on this computer; leaving closes the connection, as closing a tab does."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    # The subprotocol is the one that Streamlit's own page asks for.
    async with connect(
        address, subprotocols=[Subprotocol("streamlit")], max_size=None, ping_interval=None
    ) as connection:
        yield Visitor(connection)


def value_of(written: str) -> float:
    """The number in a card's words."""
    return float(re.sub(r"[^\d.]", "", written))
