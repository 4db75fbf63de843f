"""What users write: tasks that the tests of this folder run in real forks."""

import asyncio
import contextlib
import contextvars
import ctypes
import faulthandler
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import volant

env = volant.TaskEnvironment(name="worker-tests")

IMPORTED_IN = os.getpid()
DRAWS = random.Random()


@env.task
def add(a: int, b: int = 1) -> int:
    return a + b


@env.task
async def aadd(a: int, b: int = 1) -> int:
    return a + b


@env.task
def double(n: int) -> int:
    return 2 * n


@env.task
async def adouble(n: int) -> int:
    return 2 * n


# Where am I


@env.task
def surroundings() -> dict[str, object]:
    main = threading.main_thread()
    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "zygote": os.getppid(),
        "on_main_thread": threading.current_thread() is main,
        "threads": threading.active_count(),
        "imported_in": IMPORTED_IN,
        "cwd": os.getcwd(),
        "stdin": sys.stdin.read(),
        "descriptors": sorted(
            int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")
        ),
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "sigchld": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "wakeup": signal.set_wakeup_fd(-1),
        "attempt": os.environ["VOLANT_ATTEMPT"],
        "argv": sys.argv,
    }


@env.task
def draws() -> list[object]:
    with tempfile.NamedTemporaryFile() as file:
        name = Path(file.name).name
    return [random.random(), name, str(uuid.uuid4()), os.urandom(4)]


@env.task
def about_me() -> dict[str, object]:
    context = volant.ctx()
    return {"run": context.action.run_name, "action": context.action.name, "attempt": context.attempt_number}


# Hostile


@env.task
def leaves_with(code: int) -> int:
    sys.exit(code)


class Code(int):
    """An int that is not of the type `int`."""


CODES = {"bool": True, "enumeration": signal.SIGHUP, "subclass": Code(7), "huge": 2**64, "negative": -3}


@env.task
def leaves_with_kind(kind: str) -> int:
    sys.exit(CODES[kind])


@env.task
def leaves_saying(text: str) -> int:
    sys.exit(text)


@env.task
async def async_leaves_with(code: int) -> int:
    sys.exit(code)


@env.task
async def task_of_async_leaves_with(code: int) -> int:
    async def leave() -> None:
        sys.exit(code)

    await asyncio.gather(leave(), asyncio.sleep(60))
    return 0


@env.task
def leaves_at_once(code: int) -> int:
    os._exit(code)


@env.task
def kills_itself(number: int) -> int:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    time.sleep(60)
    return 0


@env.task
def segfaults() -> int:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
    return 0


@env.task
def aborts() -> int:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()


@env.task
def recurses_forever() -> int:
    def deeper(n: int) -> int:
        return deeper(n + 1)

    return deeper(0)


@env.task
def raises_memory_error() -> int:
    raise MemoryError("no room")


@env.task
def allocates_too_much() -> int:
    limit = 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return len(bytearray(1 << 40))


@env.task
def interrupts() -> int:
    raise KeyboardInterrupt


@env.task
async def cancels_itself() -> int:
    raise asyncio.CancelledError


@env.task
def raises_huge() -> int:
    raise ValueError("x" * 50_000_000)


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("cannot be pickled")
        self.lock = threading.Lock()

    def __reduce__(self) -> object:
        raise TypeError("not even asked nicely")


@env.task
def raises_unpicklable() -> int:
    raise Unpicklable


@env.task
def returns_wrong_type() -> int:
    return "seven"  # type: ignore[return-value]


@env.task
def closes_output() -> int:
    os.close(1)
    os.close(2)
    return 1


@env.task
def closes_streams() -> int:
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    return 1


@env.task
def closes_low_descriptors() -> int:
    os.closerange(0, 100)
    return 1


@env.task
def closes_every_descriptor() -> int:
    os.closerange(0, 1 << 16)
    return 1


@env.task
def spoils_the_process() -> int:
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    sys.path.clear()
    sys.modules.pop("asyncio")
    sys.setrecursionlimit(60)
    random.seed(1)
    global IMPORTED_IN
    IMPORTED_IN = -1
    return 1


@env.task
def prints(megabytes: int) -> int:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)
    return megabytes


@env.task
def prints_oddly() -> int:
    print("caf\u00e9 \udcff \U0001f600")
    print("to stderr", file=sys.stderr)
    os.write(1, b"raw\n")
    subprocess.run(["echo", "from a child"], check=True)
    return 1


@env.task
def prints_and_waits(path: str) -> int:
    print("before", flush=False)
    while not os.path.exists(path):
        time.sleep(0.005)
    return 1


@env.task
def reads_input() -> str:
    return input()


# Leaving things behind


def _daemonize(work: str) -> None:
    """Double fork, own session: what a daemon does."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", work])
        os._exit(0)
    os.wait()


@env.task
def leaves_daemons(path: str, count: int) -> int:
    """Daemons that ignore every polite signal write their ids into *path*."""
    work = (
        "import os, signal, time\n"
        "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\n"
        f"open({path!r} + '/' + str(os.getpid()), 'w').close()\n"
        "time.sleep(600)\n"
    )
    for _ in range(count):
        _daemonize(work)
    while len(os.listdir(path)) < count:
        time.sleep(0.005)
    return count


@env.task
def forks_and_leaves(path: str) -> int:
    if os.fork() == 0:
        Path(path, str(os.getpid())).touch()
        time.sleep(600)
        os._exit(0)
    while not os.listdir(path):
        time.sleep(0.005)
    return 1


@env.task
def fork_returns_too() -> int:
    """Both processes come back from the function."""
    return 0 if os.fork() == 0 else 1


@env.task
def hops(path: str) -> int:
    """A process that lives on by forking and leaving, again and again."""
    if os.fork() == 0:
        os.setsid()
        while True:
            Path(path, "alive").write_text(str(os.getpid()))
            if os.fork():
                os._exit(0)
            time.sleep(0.01)
    while not os.path.exists(f"{path}/alive"):
        time.sleep(0.005)
    return 1


@env.task
def ignores_sigterm(path: str) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _daemonize(f"import os, time; open({path!r} + '/' + str(os.getpid()), 'w').close(); time.sleep(600)")
    while not os.listdir(path):
        time.sleep(0.005)
    Path(path, "ready").touch()
    time.sleep(600)
    return 0


@env.task
def cleans_up_on_sigterm(path: str) -> int:
    def stop(_number: int, _frame: object) -> None:
        Path(path, "stopped").touch()
        sys.exit(5)

    signal.signal(signal.SIGTERM, stop)
    Path(path, "ready").touch()
    time.sleep(600)
    return 0


@env.task
def child_cleans_up_on_sigterm(path: str) -> int:
    """The task dies of SIGTERM at once; the program that it started needs a moment."""
    work = (
        "import os, signal, sys, time\n"
        "def stop(*_):\n"
        f"    time.sleep(0.2); open({path!r} + '/stopped', 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"open({path!r} + '/ready', 'w').close()\n"
        "time.sleep(600)\n"
    )
    subprocess.run([sys.executable, "-c", work], check=False)
    return 0


@env.task
def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@env.task
async def asleeps(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@env.task
def leaves_thread_and_handlers(path: str) -> int:
    """A thread that is no daemon, and an exit handler: both belong to the program."""
    import atexit

    atexit.register(Path(path, "handler").touch)

    def work() -> None:
        time.sleep(0.2)
        Path(path, "thread").touch()

    threading.Thread(target=work).start()
    return 1


@env.task
def uses_multiprocessing() -> list[int]:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(double, range(4))


@env.task
def spawns_multiprocessing() -> list[int]:
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(abs, [-1, -2])


# Calling


@env.task
def calls_twice(n: int) -> int:
    return add(n) + add(n)


@env.task
async def acalls(n: int) -> list[int]:
    return list(await asyncio.gather(*(adouble(i) for i in range(n))))


@env.task
async def never_awaits() -> int:
    unused = adouble(1)
    unused.close()
    return 1


@env.task
async def races() -> list[int]:
    """The order in which the answers of three calls are seen, each alone."""
    seen: list[int] = []
    pending = {asyncio.ensure_future(adouble(n)) for n in range(3)}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        seen.append(done.pop().result())
    return seen


@env.task
async def reacts_to_each() -> list[int]:
    """Every answer sets off another call."""
    seen: list[int] = []

    async def chain(n: int) -> None:
        seen.append(await adouble(n))
        seen.append(await adouble(n + 10))

    await asyncio.gather(*(chain(n) for n in range(3)))
    return seen


@env.task
async def cancels_the_slower() -> list[object]:
    fast, slow = (asyncio.ensure_future(adouble(n)) for n in (1, 2))
    await asyncio.wait({fast, slow}, return_when=asyncio.FIRST_COMPLETED)
    slow.cancel()
    slow.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await slow
    return [fast.result(), slow.cancelled()]


@env.task
async def waits_at_most(seconds: float) -> str:
    try:
        await asyncio.wait_for(adouble(1), seconds)
    except TimeoutError:
        return "timeout"
    return "in time"


@env.task
async def has_a_timeout(seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await adouble(1)
    except TimeoutError:
        return "timeout"
    return "in time"


@env.task
async def groups_fail_together() -> list[str]:
    found: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(adouble(1))
            group.create_task(adouble(2))
    except* ValueError as group_error:
        found = [str(each) for each in group_error.exceptions]
    return found


@env.task
async def ends_early() -> int:
    asyncio.ensure_future(adouble(1)).add_done_callback(lambda done: print("cancelled:", done.cancelled()))
    await asyncio.sleep(0)
    return 7


@env.task
async def catches() -> list[str]:
    try:
        await adouble(1)
    except ZeroDivisionError as exc:
        return [type(exc).__mro__[1].__name__, str(exc)]
    return []


@env.task
async def tells_what_it_got() -> str:
    try:
        await adouble(1)
    except Exception as exc:  # noqa: BLE001
        return f"{type(exc).__name__}: {exc}"
    return "nothing"


@env.task
async def sleeps_then_calls(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return await adouble(1)


@env.task
async def polls() -> int:
    """Never leaves the loop without something to do."""
    running = asyncio.ensure_future(adouble(21))
    while not running.done():
        await asyncio.sleep(0)
    return running.result()


@env.task
async def computes_after_calling(path: str) -> int:
    """The call has to be on its way before the event loop is blocked."""
    running = asyncio.ensure_future(adouble(1))
    await asyncio.sleep(0)
    while not os.path.exists(path):
        time.sleep(0.005)
    return await running


@env.task
def runs_a_loop() -> list[int]:
    async def main() -> list[int]:
        return list(await asyncio.gather(*(adouble(n) for n in range(3))))

    return asyncio.run(main())


@env.task
def calls_from_threads() -> list[int]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(double, range(6)))


@env.task
async def calls_from_to_thread() -> list[int]:
    async with asyncio.timeout(60):
        mine = asyncio.ensure_future(adouble(50))
        found = await asyncio.gather(*(asyncio.to_thread(double, n) for n in range(3)))
        return [*found, await mine]


@env.task
def loop_in_a_thread() -> list[int]:
    found: list[int] = []

    async def main() -> None:
        found.extend(await asyncio.gather(*(adouble(n) for n in range(3))))

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    found.append(double(100))
    thread.join()
    return found


@env.task
def alarm_during_call() -> str:
    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError("the alarm rang")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        add(1)
    except TimeoutError as exc:
        return str(exc)
    return "no alarm"


@env.task
def takes_anything(value: object) -> int:
    return 1


@env.task(max_inline_io_bytes=1000)
def takes_little(text: str) -> int:
    return len(text)


@env.task(max_inline_io_bytes=1000)
def returns_much(size: int) -> str:
    return "x" * size


@env.task
def calls_with_much(size: int) -> str:
    try:
        return str(takes_little("x" * size))
    except Exception as exc:  # noqa: BLE001
        return f"{type(exc).__name__}: {exc}"


@env.task
def echoes(data: bytes) -> bytes:
    return data


@env.task
async def aechoes(data: bytes) -> bytes:
    return data


@env.task
def sends_data(size: int) -> int:
    return len(echoes(os.urandom(size)))


@env.task
async def asends_data(size: int) -> int:
    return len(await aechoes(os.urandom(size)))


class Plain:
    """Has no encoding of its own."""


@env.task
def calls_with_pickles() -> int:
    return takes_anything(Plain()) + takes_anything(Plain())


# What event loops can do

PLACE: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


@env.task
async def uses_its_loop() -> dict[str, object]:
    loop = asyncio.get_running_loop()
    found: dict[str, object] = {"task": asyncio.current_task() is not None, "debug": loop.get_debug()}

    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate(b"through a pipe")
    found["subprocess"] = out

    rang = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, rang.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(rang.wait(), 30)
    loop.remove_signal_handler(signal.SIGUSR1)
    found["signal"] = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"hello\n")
    found["stream"] = await reader.readline()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

    woken = loop.create_future()
    threading.Timer(0.05, lambda: loop.call_soon_threadsafe(woken.set_result, "by a thread")).start()
    found["woken"] = await woken
    found["thread"] = await asyncio.to_thread(threading.current_thread) is not threading.main_thread()

    PLACE.set("here")
    found["context"] = await asyncio.create_task(_place())

    async def count() -> object:
        try:
            for n in range(3):
                yield n
        finally:
            print("generator closed")

    async for n in count():  # type: ignore[attr-defined]
        found["generator"] = n
        break
    return found


async def _place() -> str:
    return PLACE.get()


@env.task
async def leaves_tasks_behind() -> int:
    async def linger() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            print("told to end")

    lingering = asyncio.create_task(linger())
    assert not lingering.done()
    await asyncio.sleep(0)
    return 1
