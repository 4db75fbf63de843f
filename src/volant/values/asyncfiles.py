"""An opened file for async code: every call runs in a thread."""

import asyncio
from collections.abc import AsyncIterator
from typing import IO, Any


class AsyncFile:
    """An opened file whose methods are awaited; `async for` gives its lines."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    async def read(self, size: int = -1) -> Any:
        """So many bytes or characters, or all that is left."""
        return await asyncio.to_thread(self._file.read, size)

    async def readline(self) -> Any:
        """The next line; empty at the end."""
        return await asyncio.to_thread(self._file.readline)

    async def write(self, data: Any) -> int:
        """Write all of *data*."""
        return await asyncio.to_thread(self._file.write, data)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go somewhere else."""
        return await asyncio.to_thread(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """Where it stands."""
        return await asyncio.to_thread(self._file.tell)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while line := await self.readline():
            yield line
