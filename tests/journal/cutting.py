"""A wire between a journal and its server that can be cut anywhere."""

import asyncio
import re
from contextlib import suppress
from typing import Self


class Wire:
    """Forwards connections to a server. Each piece that a client sends is counted, and one of them can be the last.

    *cut_at* is the number of that piece; with *delivered* the server still gets it, and nobody hears the answer.
    """

    def __init__(self, url: str, *, cut_at: int = 0, delivered: bool = False) -> None:
        found = re.fullmatch(r"(postgresql://\w+@)127\.0\.0\.1:(\d+)(/\w+)", url)
        assert found is not None
        self._parts = found
        self._cut_at = cut_at
        self._delivered = delivered
        self._words: bytes | None = None
        self.sent = 0
        self.was_cut = False
        self.keeps_servers_side = False
        """After the cut, until the wire is closed: a client is gone and the server has not noticed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{self._parts[1]}127.0.0.1:{port}{self._parts[3]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)

    def cut_at_words(self, words: bytes, *, delivered: bool) -> None:
        """Make the next piece that has these words the last."""
        self._words, self._delivered = words, delivered

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        above_reader, above = await asyncio.open_connection("127.0.0.1", int(self._parts[2]))
        self._writers += [writer, above]
        back = asyncio.create_task(_copy(above_reader, writer))
        try:
            while piece := await reader.read(1 << 16):
                self.sent += 1
                is_last = self.sent == self._cut_at or (self._words is not None and self._words in piece)
                if is_last and self._delivered:
                    # Before the server can answer: what it says is for nobody.
                    back.cancel()
                    await asyncio.gather(back, return_exceptions=True)
                    above.write(piece)
                    if not self.keeps_servers_side:
                        await above_reader.read(1)
                if is_last:
                    self.was_cut, self._words = True, None
                    break
                above.write(piece)
        except OSError:
            pass
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            writer.close()
            if not self.keeps_servers_side:
                above.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
        writer.close()
