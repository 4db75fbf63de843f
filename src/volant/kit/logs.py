"""`volant.logger`: what tasks and programs log with, visible without any set-up."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _Fallback(logging.Handler):
    """Writes to the standard error of the moment, as long as nobody configured logging otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers or sys.stderr is None:
            return
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):
            self.handleError(record)


def _make_logger() -> logging.Logger:
    made = logging.getLogger("volant.task")
    if not made.handlers:
        handler = _Fallback()
        handler.setFormatter(logging.Formatter(FORMAT))
        made.addHandler(handler)
        made.setLevel(logging.INFO)
    return made


logger = _make_logger()
"""Messages from INFO on go to standard error, which a run captures per attempt. A program that configures logging
itself gets them through the root logger instead."""
