"""What a zygote does before it forks: find the user's code, import it, and see whether a fork would survive that.

Threads do not survive a fork, and what they hold is never let go of. Some libraries cope: OpenBLAS stops its threads
before each fork and starts them again when they are needed. Whether all do is seen by trying: a thread that still
runs in this process after it forked once is one that a fork would miss. Then this process starts over without the
user's modules, and each fork imports them itself: slower, and safe.
"""

import contextlib
import importlib.machinery
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType, ModuleType

import msgspec

from volant.bundle.archive import Archive, installed
from volant.bundle.loading import importing_tasks, load_file_as_module, load_main
from volant.kit.processes import children, signal_trees
from volant.model.failures import Failure, FailureKind
from volant.model.payloads import Inline, Payload
from volant.model.worker_protocol import PrepareZygote, ZygoteFailed
from volant.ports.blobs import Blobs
from volant.values.failures import encode_exception
from volant.values.references import PendingModule
from volant.worker.aside import in_child
from volant.worker.randomness import Generators, GeneratorWatch

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Our own frames say nothing to the user."""
_RESUME = "VOLANT_ZYGOTE_RESUME"
_THREADS = "/proc/self/task"
_SAFE_THREADS = frozenset({"jemalloc_bg_thd"})
"""By name: jemalloc stops its background threads around a fork and starts them again in the child."""

Kept = tuple[int, bytes, Sequence[bytes], Sequence[int]]
"""The connection's descriptor, and what was received and not yet looked at: stream, frames, descriptors."""


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What forks need to know about the zygote they come from."""

    order: PrepareZygote
    imported: bool
    warning: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A zygote that has what its forks need."""

    preparation: Preparation
    generators: Generators


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """What a zygote handed to itself over an `exec`."""

    preparation: Preparation
    rest: bytes
    unread: list[bytes]
    descriptors: list[int]


def prepare(
    order: PrepareZygote, *, open_blobs: Callable[[str], Blobs], keep: Callable[[], Kept]
) -> Imported | ZygoteFailed:
    """Import the user's code, unless it turns out that a fork would not survive that.

    *open_blobs* gives the store behind a URL, where the archive of the code may be.
    In that case this does not return: the process starts over, and `resumed` gives it what *keep* gave.
    """
    environ = dict(os.environ)
    folder = os.getcwd()
    watch = _ThreadWatch()
    generators = GeneratorWatch()
    try:
        enter_code(order, open_blobs)
        with watch, generators:
            import_code(order, imported=watch.imported)
    except BaseException as exc:  # noqa: BLE001  # user code: whatever it raised, the engine is told
        return ZygoteFailed(failure=import_failure(exc))
    unsafe = watch.unsafe_threads()
    if not unsafe:
        preparation = Preparation(order=order, imported=True, warning=_edited())
        return Imported(preparation=preparation, generators=generators.found())
    warning = "; ".join(filter(None, (_warning(unsafe), _edited())))
    preparation = Preparation(order=order, imported=False, warning=warning)
    _start_over(preparation, keep(), environ, folder)
    raise AssertionError


def resumed(open_blobs: Callable[[str], Blobs]) -> Resumed | None:
    """What this process was before it started over without the user's modules; None when it did not."""
    descriptor = os.environ.pop(_RESUME, None)
    if descriptor is None:
        return None
    with open(int(descriptor), "rb") as file:
        found = msgspec.msgpack.decode(file.read(), type=Resumed)
    for received in found.descriptors:
        os.set_inheritable(received, False)
    enter_code(found.preparation.order, open_blobs)
    return found


def enter_code(order: PrepareZygote, open_blobs: Callable[[str], Blobs]) -> None:
    """Stand where the client stood, with its files as they were: its working directory, its module search path.

    Raises:
        BlobError: the archive of its files cannot be read.
        OSError: there is no such working directory any more.
    """
    code = order.code
    if code.archive is not None:
        Archive(_bytes_of(code.archive, order.blobs, open_blobs)).install()
    os.chdir(code.cwd)
    path = list(code.sys_path)
    if code.package_root not in path:
        path.append(code.package_root)
    sys.path[:] = path
    sys.argv[:] = [code.main_script or ""]
    if code.main_script is None:
        # Not the zygote's own program: what the user's code finds there must be the same in every mode.
        sys.modules["__main__"] = ModuleType("__main__")
    elif not code.main_is_imported:
        load = partial(_load_main_when_asked, code.main_script, code.main_package)
        sys.modules["__main__"] = PendingModule("__main__", load=load)


def _bytes_of(payload: Payload, blobs: str, open_blobs: Callable[[str], Blobs]) -> bytes:
    if isinstance(payload, Inline):
        return payload.data
    if blobs.startswith("file:"):
        return open_blobs(blobs).get(payload)
    # The client of an object store has threads, which would not survive the forks to come.
    return in_child(lambda: open_blobs(blobs).get(payload))


def _edited() -> str | None:
    changed = installed().changed
    if not changed:
        return None
    names = ", ".join(sorted(os.path.basename(path) for path in changed))
    return f"{names}: edited since the run was submitted; it goes on with the code that it started with"


def _load_main_when_asked(script: str, package: str) -> ModuleType:
    with importing_tasks():
        return load_main(script, package=package)


def import_code(order: PrepareZygote, *, imported: Callable[[str], None] = lambda _name: None) -> None:
    """Import everything that holds tasks; *imported* is told the name of each of the user's modules that is.

    Raises:
        BaseException: whatever the user's modules raise.
    """
    with importing_tasks():
        for name, path in order.code.module_files:
            if name not in sys.modules:
                load_file_as_module(path, name=name)
                imported(name)
        if order.code.main_script is not None and order.code.main_is_imported:
            load_main(order.code.main_script, package=order.code.main_package)
            imported("__main__")
        for name in (*order.code.modules, *order.modules):
            if name != "__main__" and name not in sys.modules:
                __import__(name)
                imported(name)


def import_failure(exc: BaseException) -> Failure:
    """What the engine is told when user code cannot be imported; trying again would not help."""
    failure = encode_exception(exc, kind=FailureKind.USER, skip_frames_of=[PACKAGE])
    if isinstance(exc, Exception):
        return msgspec.structs.replace(failure, retryable=False)
    # SystemExit and its like would end whoever waits for the run.
    said = f"{type(exc).__name__}({failure.message})" if failure.message else type(exc).__name__
    return msgspec.structs.replace(
        failure,
        code="ImportEnded",
        message=f"importing the user's code ended the program: it raised {said}",
        exception=b"",
        retryable=False,
    )


class _ThreadWatch(contextlib.AbstractContextManager["_ThreadWatch"]):
    """Notes which module was being imported when a thread appeared.

    It stands first among the finders, so it is asked whenever an import begins, and answers nothing.
    """

    def __init__(self) -> None:
        self._origin: dict[str, str] = {}
        self._importing = ""
        self._links = 0

    def __enter__(self) -> "_ThreadWatch":
        self._links = _link_count()
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        self._look()
        self._importing = name
        return None

    def imported(self, name: str) -> None:
        """The user's module *name* was imported; a thread that is new now is its own doing."""
        self._importing = name
        self._look()

    def unsafe_threads(self) -> dict[str, str]:
        """Threads of this process that a fork would miss: name of the thread by name of the module that started it."""
        if _link_count() <= _link_count_of(1):
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        found: dict[str, str] = {}
        for thread, name in _threads().items():
            if name not in _SAFE_THREADS:
                found.setdefault(self._origin.get(thread, "").partition(".")[0], name)
        return found

    def _look(self) -> None:
        # The directory's link count says how many threads there are, for one system call.
        links = _link_count()
        if links != self._links:
            self._links = links
            culprit = _being_imported() or self._importing
            for thread in _threads():
                self._origin.setdefault(thread, culprit)


def _being_imported() -> str | None:
    """The outermost installed package among the modules that are being imported; else the innermost module."""
    frame: FrameType | None = sys._getframe()
    modules: list[tuple[str, str]] = []
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        # The zygote's own program has no file.
        ours = name.startswith("volant.") or frame.f_code.co_filename == "<string>"
        if frame.f_code.co_name == "<module>" and not ours:
            modules.append((name, frame.f_code.co_filename))
        frame = frame.f_back
    if not modules:
        return None
    installed = [name for name, file in modules if "site-packages" in file or "dist-packages" in file]
    return installed[-1] if installed else modules[0][0]


def _link_count() -> int:
    try:
        return os.stat(_THREADS).st_nlink
    except OSError:
        return 0


def _link_count_of(threads: int) -> int:
    return threads + 2


def _threads() -> dict[str, str]:
    """Every thread of this process but the first one: its id and its name."""
    found: dict[str, str] = {}
    for thread in os.listdir(_THREADS):
        if int(thread) == os.getpid():
            continue
        with (
            contextlib.suppress(OSError),
            open(f"{_THREADS}/{thread}/comm", encoding="utf-8", errors="replace") as file,
        ):
            found[thread] = file.read().strip()
    return found


def _warning(unsafe: dict[str, str]) -> str:
    modules = ", ".join(f"'{module}'" for module in unsafe if module) or "the user's code"
    threads = ", ".join(f"'{name}'" for name in unsafe.values())
    return (
        f"importing {modules} starts threads ({threads}) that a fork would not have, so every attempt imports the "
        "modules itself: slower, and safe"
    )


def _start_over(preparation: Preparation, kept: Kept, environ: dict[str, str], folder: str) -> None:
    """Run this program again, from its first line, with the same connection and what came over it."""
    connection, rest, unread, descriptors = kept
    signal_trees(children(os.getpid()))
    state = Resumed(preparation=preparation, rest=rest, unread=list(unread), descriptors=list(descriptors))
    with tempfile.TemporaryFile() as file:
        file.write(msgspec.msgpack.encode(state))
        file.flush()
        file.seek(0)
        for descriptor in (connection, file.fileno(), *descriptors):
            os.set_inheritable(descriptor, True)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os.chdir(folder)
        os.execve(sys.executable, sys.orig_argv, {**environ, _RESUME: str(file.fileno())})
