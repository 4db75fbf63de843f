"""Puts a client together: the blob store, whoever shows progress, the worker of inline runs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from volant.client.client import Client, InlineWorker
from volant.client.reporting import Reporter, Silent
from volant.client.starting import EngineStart
from volant.model.worker_protocol import WorkerToEngine
from volant.settings.terminal import wants_colour, wants_drawing
from volant.settings.tree import Mode, Settings
from volant.wiring.stores import blobs_url, journal_place, open_blobs


def make_client(
    settings: Settings, *, reporters: Callable[[Mode], Reporter], start: EngineStart | None = None
) -> Client:
    """The client of the settings' home.

    *reporters* makes what shows a run that is waited for; *start* is an engine that is on its way already.
    """
    return Client(
        settings,
        blobs=open_blobs(blobs_url(settings)),
        stores={"database": journal_place(settings), "blobs": blobs_url(settings)},
        reporters=reporters,
        inline_workers=_make_inline_worker,
        start=start,
    )


class Reporters:
    """Makes what shows a run: drawn on a terminal, lines elsewhere; both on standard error."""

    def __init__(self) -> None:
        self.is_quiet = False
        """Whether to show no progress."""
        self.followed: Path | None = None
        """The home of runs whose attempts' output is shown too."""
        self._is_drawing = False

    def __call__(self, mode: Mode) -> Reporter:
        """What shows a run of this mode."""
        stream: TextIO | None = sys.stderr
        if stream is None:
            return Silent()
        # What an inline run prints is on the screen already.
        if self.followed is None or mode is Mode.INLINE:
            return Silent() if self.is_quiet else self._progress(stream, mode)
        from volant.client.following import Following
        from volant.client.lines import Lines

        shown = Lines(stream, has_progress=False) if self.is_quiet else self._progress(stream, mode)
        return Following(shown, self.followed, colour=wants_colour(stream))

    def _progress(self, stream: TextIO, mode: Mode) -> Reporter:
        # What an inline run prints would tear a drawing apart, and so would a second run that is watched at once.
        if mode is not Mode.INLINE and wants_drawing(stream) and not self._is_drawing:
            from volant.client.drawing import Drawing

            self._is_drawing = True
            return Drawing(stream, on_close=self._drawn)
        from volant.client.lines import Lines

        return Lines(stream)

    def _drawn(self) -> None:
        self._is_drawing = False


def _make_inline_worker(tell: Callable[[Sequence[WorkerToEngine]], None]) -> InlineWorker:
    from volant.worker.inline import InlineHost

    return InlineHost(tell, open_blobs=open_blobs)
