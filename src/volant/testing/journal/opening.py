"""How the tests come to a journal."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path

from volant.ports.journal import Journal


class Opening(ABC):
    """Opens the journal that is tested."""

    @abstractmethod
    async def open(self, place: Path) -> Journal:
        """Open the journal of *place*, a folder of this test's own."""

    def _with(self, place: Path, body: Callable[[Journal], Awaitable[None]]) -> None:
        async def opened() -> None:
            journal = await self.open(place)
            try:
                await body(journal)
            finally:
                await journal.close()

        asyncio.run(opened())
