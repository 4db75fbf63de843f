"""A zygote: what it imports, what it forks, what it ends, what it leaves behind (nothing)."""

import errno
import os
import signal
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker import user_tasks
from tests.worker.fake_engine import (
    FakeEngine,
    Peer,
    Worker,
    code_in,
    encode,
    is_alive,
    wait_for,
)
from volant.authoring.task import Task
from volant.bundle.loading import load_file_as_module
from volant.kit.framing import frames
from volant.kit.processes import children
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    EndWorker,
    LeaveZygote,
    PrepareZygote,
    StartAttempt,
    Succeeded,
    ZygoteFailed,
    ZygoteReady,
)

NewEngine = Callable[..., FakeEngine]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


class TestForks:
    def test_code_is_imported_once_in_the_zygote(self, engine: FakeEngine) -> None:
        assert engine.ready() == ZygoteReady(imported=True, warning=None)
        found = engine.fork(user_tasks.surroundings).value()
        assert found["imported_in"] == found["zygote"] == engine.process.pid

    def test_a_worker_is_a_process_and_a_session_of_its_own(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.surroundings)
        found = worker.value()
        assert found["pid"] == found["session"] == found["group"] == worker.pid
        assert found["on_main_thread"]
        assert found["threads"] == 1

    def test_a_worker_has_nothing_of_the_zygotes_in_its_hands(self, engine: FakeEngine) -> None:
        waiting = engine.fork(user_tasks.asleeps, seconds=0.3)
        found = engine.fork(user_tasks.surroundings).value()
        # Three streams, the connection out of the way, and the one that lists them.
        low = [number for number in found["descriptors"] if number < 500]
        assert low[:3] == [0, 1, 2]
        assert len(low) <= 4
        assert len(found["descriptors"]) <= 5
        assert found["stdin"] == ""
        waiting.value()

    def test_a_worker_has_the_signal_handlers_of_a_fresh_program(self, engine: FakeEngine) -> None:
        found = engine.fork(user_tasks.surroundings).value()
        assert found["sigint"]
        assert found["sigterm"]
        assert found["sigchld"]
        assert found["blocked"] == []
        assert found["wakeup"] == -1

    def test_the_environment_names_the_attempt(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.surroundings)
        assert worker.value()["attempt"] == f"test-run/{'a0' * 16}/0/{worker.pid}"

    def test_the_running_code_knows_its_action(self, engine: FakeEngine) -> None:
        start = engine.start_message(user_tasks.about_me, {}, attempt=2)
        found = engine.fork_start(user_tasks.about_me, start).value()
        assert found == {"run": "test-run", "action": "a0" * 16, "attempt": 2}

    def test_an_exit_is_reported_with_what_it_cost(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.add, a=1)
        assert worker.value() == 2
        ended = worker.exited()
        assert (ended.exit_code, ended.signal) == (0, None)
        assert 0 < ended.cpu_seconds < 10
        assert ended.peak_memory > 1 << 20

    def test_forks_share_no_random_state(self, engine: FakeEngine) -> None:
        drawn = [engine.fork(user_tasks.draws).value() for _ in range(3)]
        for kind in zip(*drawn, strict=True):
            assert len({repr(each) for each in kind}) == 3

    def test_many_orders_and_descriptors_in_one_write(self, engine: FakeEngine) -> None:
        starts = [engine.start_message(user_tasks.add, {"a": n}) for n in range(20)]
        orders = [engine.order(start) for start in starts]
        engine.ready()
        engine.peer.sock.setblocking(True)
        data = frames([encode(order) for order, *_ in orders])
        socket.send_fds(engine.peer.sock, [data], [theirs.fileno() for _, _, theirs, _ in orders])
        workers: list[Worker] = []
        for (order, ours, theirs, log), start in zip(orders, starts, strict=True):
            theirs.close()
            workers.append(engine.adopt(Worker(engine, start.attempt_key, ours, log, user_tasks.add)))
            assert order.attempt_key == start.attempt_key
        assert [worker.value() for worker in workers] == [n + 1 for n in range(20)]

    def test_the_stream_may_be_cut_anywhere(self, engine: FakeEngine) -> None:
        engine.ready()
        order, ours, theirs, log = engine.order(engine.start_message(user_tasks.add, {"a": 1}))
        data = frames([encode(order)])
        engine.peer.sock.setblocking(True)
        socket.send_fds(engine.peer.sock, [data[:1]], [theirs.fileno()])
        theirs.close()
        for position in range(1, len(data), 7):
            engine.peer.sock.sendall(data[position : position + 7])
        assert engine.adopt(Worker(engine, order.attempt_key, ours, log, user_tasks.add)).value() == 2

    def test_output_is_seen_at_once(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.prints_and_waits, path=str(tmp_path / "go"))
        wait_for(lambda: worker.log_path.exists() and worker.log == "before\n", "the line that was printed")
        (tmp_path / "go").touch()
        assert worker.value() == 1

    def test_output_of_every_kind_is_captured(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.prints_oddly)
        assert worker.value() == 1
        worker.exited()
        assert sorted(worker.log.splitlines()) == sorted(
            ["caf\u00e9 \\udcff \U0001f600", "to stderr", "raw", "from a child"]
        )

    def test_fifty_megabytes_of_output_harm_nobody(self, engine: FakeEngine) -> None:
        noisy = engine.fork(user_tasks.prints, megabytes=50)
        assert engine.fork(user_tasks.add, a=1).value() == 2
        assert noisy.value() == 50
        noisy.exited()
        assert noisy.log_path.stat().st_size == 50 << 20
        noisy.log_path.unlink()

    def test_a_log_that_cannot_be_written_costs_the_output_alone(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork_start(user_tasks.add, engine.start_message(user_tasks.add, {"a": 1}), tmp_path)
        assert worker.value() == 2
        assert "cannot write the log" in engine.log

    def test_a_log_in_a_folder_that_is_not_there(self, engine: FakeEngine, tmp_path: Path) -> None:
        log = tmp_path / "no" / "such" / "folder.log"
        worker = engine.fork_start(user_tasks.add, engine.start_message(user_tasks.add, {"a": 1}), log)
        assert worker.value() == 2
        assert log.exists()


class TestEnding:
    def test_a_task_can_clean_up_on_sigterm(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.cleans_up_on_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the handler")
        worker.end(grace=30)
        failure = worker.failure()
        assert (failure.code, failure.message) == ("ExitCode", "the task ended its program with exit code 5")
        assert worker.exited().signal is None
        assert (tmp_path / "stopped").exists()

    def test_a_program_that_a_task_started_has_its_grace_too(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.child_cleans_up_on_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the program")
        worker.end(grace=30)
        assert worker.exited().signal == signal.SIGTERM
        assert (tmp_path / "stopped").exists()

    def test_who_ignores_sigterm_is_killed_with_daemons_in_sessions_of_their_own(
        self, engine: FakeEngine, tmp_path: Path
    ) -> None:
        worker = engine.fork(user_tasks.ignores_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the daemon")
        daemon = next(int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal())
        assert is_alive(daemon)
        worker.end(grace=0.2)
        assert worker.exited().signal == signal.SIGKILL
        assert not is_alive(daemon)

    def test_a_second_word_shortens_the_grace(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.ignores_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the daemon")
        worker.end(grace=3600)
        worker.end(grace=0)
        assert worker.exited().signal == signal.SIGKILL

    def test_a_worker_that_was_just_forked_can_be_ended(self, engine: FakeEngine) -> None:
        for grace in (0.0, 3600.0):
            for _ in range(10):
                worker = engine.fork(user_tasks.sleeps, seconds=600)
                worker.end(grace=grace)
                assert worker.exited().signal == (signal.SIGTERM if grace else signal.SIGKILL)

    def test_a_stopped_process_hears_that_it_is_to_end(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.sleeps, seconds=600)
        os.kill(worker.pid, signal.SIGSTOP)
        worker.end(grace=3600)
        assert worker.exited().signal == signal.SIGTERM

    def test_a_stopped_process_that_does_not_heed_it_is_killed(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.ignores_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the daemon")
        os.kill(worker.pid, signal.SIGSTOP)
        worker.end(grace=0.1)
        assert worker.exited().signal == signal.SIGKILL

    def test_the_end_of_an_attempt_that_is_gone_is_asked_for_in_vain(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.add, a=1)
        worker.exited()
        worker.end(grace=0)
        engine.peer.say(EndWorker(attempt_key=AttemptKey(999_999), grace=1))
        assert engine.fork(user_tasks.add, a=1).value() == 2

    def test_others_are_served_while_one_has_its_grace(self, engine: FakeEngine, tmp_path: Path) -> None:
        stubborn = engine.fork(user_tasks.ignores_sigterm, path=str(tmp_path))
        wait_for((tmp_path / "ready").exists, "the daemon")
        stubborn.end(grace=3600)
        for n in range(5):
            assert engine.fork(user_tasks.add, a=n).value() == n + 1
        assert stubborn.key not in engine.exits
        stubborn.end(grace=0)
        stubborn.exited()


class TestLeftovers:
    @pytest.mark.parametrize("count", [1, 5])
    def test_daemons_do_not_outlive_their_attempt(self, engine: FakeEngine, tmp_path: Path, count: int) -> None:
        worker = engine.fork(user_tasks.leaves_daemons, path=str(tmp_path), count=count)
        assert worker.value() == count
        worker.exited()
        daemons = [int(path.name) for path in tmp_path.iterdir()]
        assert len(daemons) == count
        assert not any(is_alive(pid) for pid in daemons)

    def test_daemons_of_one_attempt_die_while_another_keeps_its_own(self, engine: FakeEngine, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        alive = engine.fork(user_tasks.ignores_sigterm, path=str(tmp_path / "a"))
        wait_for((tmp_path / "a" / "ready").exists, "the daemon")
        kept = next(int(path.name) for path in (tmp_path / "a").iterdir() if path.name.isdecimal())
        ended = engine.fork(user_tasks.leaves_daemons, path=str(tmp_path / "b"), count=2)
        ended.exited()
        assert not any(is_alive(int(path.name)) for path in (tmp_path / "b").iterdir())
        assert is_alive(kept)
        alive.end(grace=0)
        alive.exited()
        assert not is_alive(kept)

    def test_a_fork_that_stays_when_the_task_returns(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.forks_and_leaves, path=str(tmp_path))
        assert worker.value() == 1
        worker.exited()
        assert not any(is_alive(int(path.name)) for path in tmp_path.iterdir())

    def test_a_fork_that_returns_from_the_function_as_well(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.fork_returns_too)
        assert worker.value() == 1
        assert worker.exited().exit_code == 0

    def test_a_process_that_lives_by_forking_again_and_again(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.hops, path=str(tmp_path))
        assert worker.value() == 1
        worker.exited()
        assert not is_alive(int((tmp_path / "alive").read_text()))

    def test_threads_and_exit_handlers_come_before_the_last_word(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.leaves_thread_and_handlers, path=str(tmp_path))
        assert worker.value() == 1
        assert (tmp_path / "thread").exists()
        assert (tmp_path / "handler").exists()

    def test_multiprocessing_works(self, engine: FakeEngine) -> None:
        assert engine.fork(user_tasks.uses_multiprocessing).value() == [0, 2, 4, 6]
        assert engine.fork(user_tasks.spawns_multiprocessing).value() == [1, 2]

    @pytest.mark.parametrize("say_it", [True, False], ids=["told", "connection lost"])
    def test_a_leaving_zygote_leaves_nothing(self, new_engine: NewEngine, tmp_path: Path, say_it: bool) -> None:
        engine = new_engine()
        folder = tmp_path / "daemon"
        folder.mkdir()
        worker = engine.fork(user_tasks.ignores_sigterm, path=str(folder))
        sleeper = engine.fork(user_tasks.sleeps, seconds=600)
        wait_for((folder / "ready").exists, "the daemon")
        daemon = next(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
        pids = [worker.pid, sleeper.pid, daemon]
        if say_it:
            engine.peer.say(LeaveZygote())
        else:
            engine.peer.sock.close()
        assert engine.process.wait(60) == 0
        assert not any(is_alive(pid) for pid in pids)

    def test_signals_that_a_fork_may_send_to_its_parent_do_not_end_a_zygote(self, new_engine: NewEngine) -> None:
        engine = new_engine()
        worker = engine.fork(user_tasks.sleeps, seconds=600)
        pid = worker.pid
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            engine.process.send_signal(number)
        # It forks on, and heeds its engine.
        assert isinstance(engine.fork(user_tasks.sleeps, seconds=0).outcome(), Succeeded)
        engine.peer.say(LeaveZygote())
        assert engine.process.wait(60) == 0
        assert not is_alive(pid)


FAILING_IMPORTS = {
    "raises": ("raise LookupError('no such luck')", "LookupError", "no such luck"),
    "missing module": ("import no_such_module_at_all", "ModuleNotFoundError", "no_such_module_at_all"),
    "syntax": ("def broken(:\n    pass", "SyntaxError", "invalid syntax"),
    "leaves": ("import sys; sys.exit(3)", "ImportEnded", "SystemExit(3)"),
    "interrupts": ("raise KeyboardInterrupt", "ImportEnded", "KeyboardInterrupt"),
    "circular": ("from user_other import thing\n", "ImportError", "circular import"),
    "reads": ("answer = input('name? ')", "EOFError", "EOF"),
}


class TestRandomness:
    MODULE = """
        import random
        import numpy as np
        import volant

        env = volant.TaskEnvironment(name="{name}")
        plain, seeded = random.Random(), random.Random(5)
        twice = random.Random(1)
        twice.seed()
        fresh, fixed = np.random.default_rng(), np.random.default_rng(0x87351080e25cb0fad77a44a3be03b491)
        old, old_fixed = np.random.RandomState(), np.random.RandomState(7)
        philox = np.random.Generator(np.random.Philox())

        @env.task
        def unseeded() -> list[float]:
            drawn = [plain.random(), twice.random(), fresh.random(), old.rand(), philox.random()]
            return [*drawn, np.random.rand(), random.random()]

        @env.task
        def seeds() -> list[float]:
            return [seeded.random(), fixed.random(), old_fixed.rand()]
        """

    def test_generators_without_a_seed_differ_between_forks_and_seeded_ones_do_not(
        self, new_engine: NewEngine, tmp_path: Path
    ) -> None:
        path = write(tmp_path, "user_random.py", self.MODULE.format(name="user-random"))
        module = load_file_as_module(path, name="user_random")
        engine = new_engine(code_in(tmp_path, "user_random"))
        drawn = [engine.fork(module.unseeded).value() for _ in range(3)]
        assert [len(set(each)) for each in zip(*drawn, strict=True)] == [3] * 7
        expected = module.seeds.func()
        assert [engine.fork(module.seeds).value() for _ in range(2)] == [expected] * 2


class TestShortage:
    """The system refuses a process for now; `full` in the folder stands for it."""

    MODULE = """
        import errno, os, pathlib, sys, volant
        from volant.worker import zygote

        env = volant.TaskEnvironment(name="short-{patience}")
        full = pathlib.Path(__file__).with_name("full")
        fork = os.fork

        def refused():
            if full.exists():
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return fork()

        # Not where the test itself imports it.
        if "pytest" not in sys.modules:
            os.fork = refused
            zygote._SHORT_OF_PROCESSES = {patience}

        @env.task
        def one() -> list[str]:
            sockets = [n for n in range(3, 1024) if os.path.exists(f"/proc/self/fd/{{n}}")]
            return [os.readlink(f"/proc/self/fd/{{n}}") for n in sockets]
    """

    def zygote(self, new_engine: NewEngine, folder: Path, *, patience: int) -> tuple[FakeEngine, Task[..., Any]]:
        name = f"user_short_{patience}"
        path = write(folder, f"{name}.py", self.MODULE.format(patience=patience))
        module = load_file_as_module(path, name=name)
        engine = new_engine(code_in(folder, name))
        engine.ready()
        return engine, module.one

    def test_a_fork_is_tried_again_until_there_is_room(self, new_engine: NewEngine, tmp_path: Path) -> None:
        engine, one = self.zygote(new_engine, tmp_path, patience=1000)
        (tmp_path / "full").touch()
        waiting = [engine.fork(one) for _ in range(3)]
        withdrawn = engine.fork(one)
        withdrawn.end(grace=0)
        ended = withdrawn.exited()
        assert (ended.exit_code, ended.signal, ended.not_forked) == (None, None, None)
        (tmp_path / "full").unlink()
        # Each has its own connection and nobody else's.
        assert [len(worker.value()) for worker in waiting] == [1] * 3

    def test_a_fork_that_never_has_room_is_reported_with_the_error(self, new_engine: NewEngine, tmp_path: Path) -> None:
        engine, one = self.zygote(new_engine, tmp_path, patience=0)
        (tmp_path / "full").touch()
        assert engine.fork(one).exited().not_forked == errno.EAGAIN
        (tmp_path / "full").unlink()
        assert len(engine.fork(one).value()) == 1


class TestImports:
    @pytest.mark.parametrize("name", FAILING_IMPORTS)
    def test_a_failing_import_is_reported_with_the_users_traceback(
        self, new_engine: NewEngine, tmp_path: Path, name: str
    ) -> None:
        text, code, message = FAILING_IMPORTS[name]
        write(tmp_path, "user_module.py", f"print('importing')\n{text}\n")
        write(tmp_path, "user_other.py", "from user_module import something\nthing = 1\n")
        engine = new_engine(code_in(tmp_path, "user_module"))
        answer = engine.ready()
        assert isinstance(answer, ZygoteFailed)
        assert answer.failure.code == code
        assert message in answer.failure.message
        assert not answer.failure.retryable
        assert "user_module.py" in answer.failure.traceback
        assert "volant/worker" not in answer.failure.traceback
        assert "importlib" not in answer.failure.traceback
        if name != "syntax":
            assert engine.log.startswith("importing")
        assert engine.process.wait(60) == 0

    def test_a_missing_working_directory_is_a_failure(self, new_engine: NewEngine, tmp_path: Path) -> None:
        answer = new_engine(code_in(tmp_path / "gone")).ready()
        assert isinstance(answer, ZygoteFailed)
        assert "gone" in answer.failure.message

    def test_a_script_that_runs_itself_is_refused_and_told_about_the_guard(
        self, new_engine: NewEngine, tmp_path: Path
    ) -> None:
        write(
            tmp_path,
            "script.py",
            """
            import volant
            env = volant.TaskEnvironment(name="unguarded")
            @env.task
            def f() -> int:
                return 1
            volant.run(f)
            """,
        )
        answer = new_engine(code_in(tmp_path, main="script.py")).ready()
        assert isinstance(answer, ZygoteFailed)
        assert answer.failure.code == "NestedRunError"
        assert 'script.py", line 7' in answer.failure.traceback

    def test_a_main_script_is_loaded_without_running_it(self, new_engine: NewEngine, tmp_path: Path) -> None:
        write(
            tmp_path,
            "script.py",
            """
            import sys
            print("loaded as", __name__)
            class Thing:
                pass
            if __name__ == "__main__":
                print("ran")
                sys.exit(9)
            print(Thing.__module__, sys.modules["__main__"].Thing is Thing, sys.argv)
            """,
        )
        engine = new_engine(code_in(tmp_path, main="script.py"))
        assert engine.ready() == ZygoteReady(imported=True, warning=None)
        assert engine.log == f"loaded as __main__\n__main__ True ['{tmp_path}/script.py']\n"

    def test_output_that_was_buffered_while_importing_is_not_repeated_by_forks(
        self, new_engine: NewEngine, tmp_path: Path
    ) -> None:
        write(tmp_path, "user_module.py", "import sys\nsys.stdout.write('no line end')\n")
        code = code_in(tmp_path, user_tasks.__name__, "user_module")
        engine = new_engine(code)
        engine.ready()
        worker = engine.fork(user_tasks.add, a=1)
        assert worker.value() == 2
        worker.exited()
        assert worker.log == ""
        assert engine.log == "no line end"

    def test_programs_that_an_import_started_stay_until_the_zygote_leaves(
        self, new_engine: NewEngine, tmp_path: Path
    ) -> None:
        write(
            tmp_path,
            "user_module.py",
            """
            import subprocess, sys
            service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            """,
        )
        engine = new_engine(code_in(tmp_path, user_tasks.__name__, "user_module"))
        engine.ready()
        (service,) = children(engine.process.pid)
        assert engine.fork(user_tasks.leaves_at_once, code=3).exited().exit_code == 3
        assert is_alive(service)
        assert engine.leave() == 0
        assert not is_alive(service)

    def test_a_cleaner_that_an_import_registered_does_not_run_in_forks(
        self, new_engine: NewEngine, tmp_path: Path
    ) -> None:
        write(
            tmp_path,
            "user_module.py",
            f"""
            import atexit, pathlib, tempfile
            folder = tempfile.TemporaryDirectory(dir={str(tmp_path)!r}, prefix="scratch-")
            atexit.register(pathlib.Path({str(tmp_path)!r}, "ran").touch)
            """,
        )
        engine = new_engine(code_in(tmp_path, user_tasks.__name__, "user_module"))
        engine.ready()
        for _ in range(2):
            engine.fork(user_tasks.add, a=1).exited()
        assert len(list(tmp_path.glob("scratch-*"))) == 1
        assert not (tmp_path / "ran").exists()

    def test_handlers_that_an_import_installed_hold_in_forks(self, new_engine: NewEngine, tmp_path: Path) -> None:
        write(tmp_path, "user_module.py", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n")
        engine = new_engine(code_in(tmp_path, user_tasks.__name__, "user_module"))
        found = engine.fork(user_tasks.surroundings).value()
        assert not found["sigterm"]

    def test_an_order_before_the_preparation_is_a_broken_engine(self, new_engine: NewEngine) -> None:
        engine = new_engine(prepare=False)
        engine.peer.say(EndWorker(attempt_key=AttemptKey(1), grace=0))
        assert engine.process.wait(60) == 1
        assert "before PrepareZygote" in engine.log

    def test_orders_that_come_with_the_preparation_wait_for_it(self, new_engine: NewEngine, tmp_path: Path) -> None:
        engine = new_engine(prepare=False)
        start: StartAttempt = engine.start_message(user_tasks.add, {"a": 1})
        order, ours, theirs, log = engine.order(start)
        preparation = PrepareZygote(code=code_in(tmp_path, user_tasks.__name__))
        socket.send_fds(engine.peer.sock, [frames([encode(preparation), encode(order)])], [theirs.fileno()])
        theirs.close()
        assert engine.adopt(Worker(engine, start.attempt_key, ours, log, user_tasks.add)).value() == 2


def test_what_a_worker_says_comes_in_one_piece_after_its_task_ended(engine: FakeEngine) -> None:
    """The engine may read until the end of the stream and then has the last word."""
    worker = engine.fork(user_tasks.add, a=1)
    worker.exited()
    peer: Peer = worker.peer
    assert isinstance(peer.next().outcome, Succeeded)
    with pytest.raises(EOFError):
        peer.next()
