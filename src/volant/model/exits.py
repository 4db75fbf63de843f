"""How a process ended."""

import msgspec


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. Neither code nor signal: nobody knows, its guardian is gone too."""

    code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    """Bytes."""

    @property
    def text(self) -> str:
        """`exit 3`, `signal 9`, `unknown`."""
        if self.signal is not None:
            return f"signal {self.signal}"
        return "unknown" if self.code is None else f"exit {self.code}"
