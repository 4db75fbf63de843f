"""A home with an engine for the length of a test session, and tests that see no other."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from volant.api.program import Program, program
from volant.client.driving import drive
from volant.kit.homes import blobs_path, engine_log_path, journal_path, socket_path
from volant.model.control_protocol import Done, StopEngine
from volant.model.errors import EngineError, EngineGoneError
from volant.settings.loading import engine_environ, load_settings
from volant.settings.tree import Mode

# As in `volant.client.starting`: this volant, and nothing of the working directory in place of the standard library.
_PROGRAM = (
    "import os, sys; sys.path.append(sys.argv.pop(1)); os.chdir(sys.argv[1]); "
    "from runpy import run_module; run_module('volant.testing.engine', run_name='__main__', alter_sys=True)"
)
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_OWN_PREFIX = "VOLANT_"
_NO_LINGERING = "315360000"
"""Seconds: the engine leaves with the session, not before."""
_LEAVING = 20.0
"""Seconds that it has to end what it started."""
_LAST_CHARACTERS = 4000


class TestHome:
    """A temporary home and its engine, whose clock jumps over waits. Both are gone when it is closed.

    They are gone too when the process that made it is killed: the engine notices, and removes the home.
    """

    __test__ = False

    def __init__(self) -> None:
        self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix="volant-test-")))
        self.program = Program()
        """For runs that tests submit by themselves: what the code under test gave to `volant.init` does not count."""
        self.program.reporters.is_quiet = True
        self._engine: subprocess.Popen[bytes] | None = None

    @property
    def flags(self) -> dict[str, object]:
        """The settings that a project or a user must not choose for tests."""
        return {
            "home": self.path,
            "database": f"sqlite:///{journal_path(self.path)}",
            "blobs": blobs_path(self.path).as_uri(),
        }

    @property
    def variables(self) -> dict[str, str]:
        """The same for processes that tests start."""
        return {f"VOLANT_{name.upper()}": str(value) for name, value in self.flags.items()}

    def ensure_engine(self) -> None:
        """Start the engine, if it has not been or is gone.

        Raises:
            EngineError: it does not start; its last words are in the message.
        """
        if self._engine is not None and self._engine.poll() is None:
            return
        self._let_go()
        # Somebody may have asked for an engine after ours was stopped: that one knows nothing of our clock.
        self._stop_strangers()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_PREFIX)}
        settings = load_settings(flags=self.flags, environ=environ)
        environ = engine_environ(settings, {**environ, **self.variables})
        environ["VOLANT_ENGINE_LINGER"] = _NO_LINGERING
        with engine_log_path(self.path).open("ab") as log:
            self._engine = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, _PACKAGE_ROOT, str(self.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environ,
                # Ctrl-C is for the tests; the engine hears of it when they have ended.
                start_new_session=True,
            )
        assert self._engine.stdout is not None
        if not self._engine.stdout.readline():
            said = engine_log_path(self.path).read_text(encoding="utf-8", errors="replace")[-_LAST_CHARACTERS:]
            self._let_go()
            msg = f"the engine for the tests did not start:\n{said.strip()}"
            raise EngineError(msg)

    def close(self) -> None:
        """End the engine with everything that it started, and remove the home."""
        self._let_go()
        self._stop_strangers()
        shutil.rmtree(self.path, ignore_errors=True)

    def _let_go(self) -> None:
        """Close the engine's standard input, which is how it is told, and wait until it is gone."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        assert engine.stdin is not None
        assert engine.stdout is not None
        engine.stdin.close()
        engine.stdout.close()
        try:
            engine.wait(_LEAVING)
        except subprocess.TimeoutExpired:
            engine.kill()
            engine.wait()

    def _stop_strangers(self) -> None:
        if socket_path(self.path).exists():
            drive(self._stop_stranger, name="TestHome", anywhere=True)

    async def _stop_stranger(self) -> None:
        client = self.program.client(load_settings(flags=self.flags, environ={}, use_project=False))
        async with client.running_connection() as connection:
            if connection is None:
                return
            with contextlib.suppress(EngineGoneError):
                await connection.ask(lambda number: StopEngine(request=number, abort_runs=True), Done)
            await connection.gone


@contextlib.contextmanager
def isolated(home: TestHome, mode: Mode) -> Generator[None]:
    """Within it every run that this process or a child of it submits goes to *home*, in *mode* if it does not say.

    Variables `VOLANT_*` are taken away and given back.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith(_OWN_PREFIX)}
    flags, own_flags = program.flags, home.program.flags
    program.flags = {**home.flags, "mode": mode.value}
    home.program.flags = home.flags
    _set_own_variables({**home.variables, "VOLANT_MODE": mode.value})
    try:
        yield
    finally:
        _set_own_variables(kept)
        program.flags, home.program.flags = flags, own_flags


def _set_own_variables(values: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(_OWN_PREFIX)]:
        del os.environ[name]
    os.environ.update(values)
