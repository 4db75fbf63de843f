"""What this program told Volant about itself: the arguments of `init`, the flags of the command line."""

from collections.abc import Mapping

from volant.client.client import Client
from volant.client.starting import EngineStart
from volant.settings.loading import load_settings
from volant.settings.tree import Settings
from volant.wiring.client import Reporters, make_client


class Program:
    """The settings of a process, beyond files and variables. There is one, `program`."""

    def __init__(self) -> None:
        self.arguments: dict[str, object] = {}
        """From `volant.init`."""
        self.flags: dict[str, object] = {}
        """From the command line; they win over everything."""
        self.endpoint: str | None = None
        """Of a server, from `volant.init`."""
        self.early_start: EngineStart | None = None
        """An engine that the command line began to start before it knew what it will be for."""
        self.reporters = Reporters()
        """Makes what shows a run that is waited for."""

    def settings(self, arguments: Mapping[str, object] | None = None, *, place: str = "volant.init") -> Settings:
        """All settings as they are now; *arguments* come from the call at *place* and win over those of `init`."""
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        return load_settings(
            flags=self.flags,
            arguments={**self.arguments, **given},
            arguments_place=dict.fromkeys(self.arguments, "volant.init") | dict.fromkeys(given, place),
        )

    def client(self, settings: Settings | None = None) -> Client:
        """A way to the engine of the home."""
        settings = settings or self.settings()
        start, self.early_start = self.early_start, None
        if start is not None and start.home != settings.home:
            start.close()
            start = None
        return make_client(settings, reporters=self.reporters, start=start)


program = Program()
