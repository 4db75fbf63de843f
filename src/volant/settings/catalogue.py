"""Every setting there is: what it is called, what it does, its unit and its default. Written here and nowhere else:
the loader, `volant get settings`, shell completion and the reference page read this table.

The fields of `volant.settings.tree.Settings` are the same names; a test compares the two.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from volant.kit.homes import absolute_home
from volant.kit.quantities import format_bytes, format_cpu
from volant.settings.machine import usable_cpu, usable_memory, visible_gpus
from volant.settings.masking import masked
from volant.settings.parsing import (
    parse_bool,
    parse_cores,
    parse_duration,
    parse_home,
    parse_mode,
    parse_size,
    parse_url,
    whole_number,
)
from volant.settings.tree import Mode

QUEUES = "queues."
"""How the names of queues begin; they are apart, since what follows is the user's choice."""
SECTIONS = frozenset({"capacity", "engine", "queues"})
QUEUES_VARIABLE = "VOLANT_QUEUES"
"""All queues as JSON: `{"gpu": {"max_running": 2}}`."""
QUEUE_HELP = {
    "max_running": "How many of the queue's attempts run at once; unlimited by default.",
    "priority": "Which queue comes first where several wait; a higher number does, and 0 is the default.",
}
"""What the table of a queue may have."""
QUEUES_NOTE = "Read and kept, but the engine does not tell queues apart yet; each run says so once."


class Form(NamedTuple):
    """How values of one type are written and shown."""

    parse: Callable[[object], object]
    wanted: str
    """What may be written, for the reference."""
    unit: str = ""
    show: Callable[[Any], str] = str
    """For people; nothing secret is in it."""
    plain: Callable[[Any], object] = str
    """For programs, in `unit`; nothing secret is in it."""
    spell: Callable[[Any], str] = str
    """What `parse` reads again."""


class Setting(NamedTuple):
    """One setting."""

    name: str
    form: Form
    help: str
    default: Callable[[Mapping[str, str]], object]
    """From the environment variables, which most do not look at."""
    default_text: str
    """The default in words; also shown for a value that is None."""
    example: str
    """As TOML."""
    is_engines: bool = False
    """Whether the engine reads it, once, when it starts: one that runs keeps what it started with."""
    note: str = ""
    """What a user should know who expects more of it."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"VOLANT_{self.name.replace('.', '_').upper()}"

    def shown(self, value: object) -> str:
        """A value for people."""
        return self.default_text if value is None else self.form.show(value)


def _plain_seconds(value: timedelta) -> float:
    return value.total_seconds()


def _show_duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _spell_duration(value: timedelta) -> str:
    return repr(value.total_seconds())


def _plain_cores(value: int) -> float:
    return value / 1000


def _spell_cores(value: int) -> str:
    return f"{value}m"


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


def _show_cores(value: int) -> str:
    return f"{format_cpu(value)} {'core' if value == 1000 else 'cores'}"


FOLDER = Form(parse=parse_home, wanted="a folder, with `~` if you like")
DATABASE = Form(
    parse=parse_url,
    wanted="a URL: `sqlite:///name.db` for a file in the home, `sqlite:////folder/name.db` for one elsewhere",
    show=masked,
    plain=masked,
)
BLOBS = Form(parse=parse_url, wanted="a URL: `file:///folder`", show=masked, plain=masked)
MODE = Form(parse=parse_mode, wanted=", ".join(f"`{mode.value}`" for mode in Mode))
SWITCH = Form(parse=parse_bool, wanted="`true` or `false`", show=_show_switch, plain=bool, spell=_show_switch)
DURATION = Form(
    parse=parse_duration,
    wanted="seconds, or a duration such as `500ms`, `30s`, `5min`, `1h`",
    unit="seconds",
    show=_show_duration,
    plain=_plain_seconds,
    spell=_spell_duration,
)
CORES = Form(
    parse=parse_cores,
    wanted="a number such as `2` or `0.5`, or thousandths such as `500m`",
    unit="cores",
    show=_show_cores,
    plain=_plain_cores,
    spell=_spell_cores,
)
SIZE = Form(
    parse=parse_size,
    wanted="bytes, or a size such as `512Mi` or `8Gi`",
    unit="bytes",
    show=format_bytes,
    plain=int,
)


def _count(least: int, unit: str) -> Form:
    return Form(parse=whole_number(least), wanted=f"a whole number, at least {least}", unit=unit, plain=int)


def _always(value: object) -> Callable[[Mapping[str, str]], object]:
    return lambda environ: value


def _computed(value: Callable[[], object]) -> Callable[[Mapping[str, str]], object]:
    return lambda environ: value()


def _default_linger(environ: Mapping[str, str]) -> timedelta:
    return timedelta(seconds=10 if environ.get("CI") else 300)


_ALL = (
    Setting(
        name="home",
        form=FOLDER,
        help="The folder with the journal, the large values, the captured output and the settings; "
        "each has an engine of its own. A path in a pyproject.toml is relative to that file.",
        default=_computed(lambda: absolute_home("~/.volant")),
        default_text="~/.volant",
        example='home = ".volant"',
    ),
    Setting(
        name="database",
        form=DATABASE,
        help="Where the journal is kept: a SQLite file, or a Postgres database that several homes may share.",
        default=_always(None),
        default_text="SQLite in the home",
        example='database = "sqlite:////srv/volant/journal.db"',
        is_engines=True,
    ),
    Setting(
        name="blobs",
        form=BLOBS,
        help="Where large values and files are kept: a folder of this machine, or a bucket as s3://bucket/prefix.",
        default=_always(None),
        default_text="a folder in the home",
        example='blobs = "file:///srv/volant/blobs"',
        is_engines=True,
    ),
    Setting(
        name="mode",
        form=MODE,
        help="Where runs are executed: by the home's engine in isolated processes, by the calling process, or by a "
        "server. As a variable it also wins over a mode that is written in a program.",
        default=_always(Mode.LOCAL),
        default_text="local",
        example='mode = "inline"',
    ),
    Setting(
        name="grace_period",
        form=DURATION,
        help="How long an attempt that is ended may take to clean up, between SIGTERM and SIGKILL.",
        default=_always(timedelta(seconds=5)),
        default_text="5 s",
        example='grace_period = "10s"',
    ),
    Setting(
        name="strict",
        form=SWITCH,
        help="Refuse what cannot be had or enforced here, instead of a warning: requests larger than the machine, GPUs "
        "that are absent, parameters and options without an effect.",
        default=_always(False),
        default_text="false",
        example="strict = true",
    ),
    Setting(
        name="capacity.cpu",
        form=CORES,
        help="How many cores the engine hands out.",
        default=_computed(usable_cpu),
        default_text="what this machine lets the process use: affinity and control groups counted",
        example="[capacity]\ncpu = 4",
        is_engines=True,
    ),
    Setting(
        name="capacity.memory",
        form=SIZE,
        help="How much memory the engine hands out.",
        default=_computed(usable_memory),
        default_text="what this machine lets the process use: control groups counted",
        example='[capacity]\nmemory = "8Gi"',
        is_engines=True,
    ),
    Setting(
        name="capacity.gpu",
        form=_count(0, "devices"),
        help="How many GPUs the engine hands out.",
        default=visible_gpus,
        default_text="the NVIDIA devices, at most those that CUDA_VISIBLE_DEVICES names",
        example="[capacity]\ngpu = 1",
        is_engines=True,
    ),
    Setting(
        name="capacity.processes",
        form=_count(1, "processes"),
        help="How many worker processes are alive at once.",
        default=_always(512),
        default_text="512",
        example="[capacity]\nprocesses = 100",
        is_engines=True,
    ),
    Setting(
        name="engine.linger",
        form=DURATION,
        help="How long the engine stays when nothing runs and nobody is connected.",
        default=_default_linger,
        default_text="5 min, or 10 s where the variable CI is set",
        example='[engine]\nlinger = "1h"',
        is_engines=True,
    ),
    Setting(
        name="engine.start_timeout",
        form=DURATION,
        help="How long a command or program waits for an engine that is starting.",
        default=_always(timedelta(seconds=20)),
        default_text="20 s",
        example='[engine]\nstart_timeout = "1min"',
    ),
    Setting(
        name="engine.park_after",
        form=DURATION,
        help="An attempt that only waits for durable sleeps which end later than this is put away, and executed again "
        "when one has ended.",
        default=_always(timedelta(seconds=30)),
        default_text="30 s",
        example='[engine]\npark_after = "5min"',
        is_engines=True,
    ),
    Setting(
        name="engine.adoption_window",
        form=DURATION,
        help="How long attempts go on whose engine has died, until the next engine goes on with their run. Then they "
        "end themselves, with every process they started. 0 ends them at once.",
        default=_always(timedelta(seconds=30)),
        default_text="30 s",
        example='[engine]\nadoption_window = "5min"',
        is_engines=True,
    ),
)

SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in _ALL}
"""By dotted name, in the order in which they are shown."""

VARIABLES: Mapping[str, str] = {setting.variable: name for name, setting in SETTINGS.items()}
"""Names of settings by the environment variables that set them."""


def engine_settings(value_of: Callable[[str], object]) -> dict[str, str]:
    """What an engine reads when it starts, as people read it; *value_of* gives the value of a name."""
    return {name: setting.shown(value_of(name)) for name, setting in SETTINGS.items() if setting.is_engines}
