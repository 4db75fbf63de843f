"""Stubs in mode `local`: the workers of a run import one more module of the user's, which puts the stubs into them.

A stub's answer then runs where the task would: in a process of its own, which has its own copy of what the answer
refers to. The calls come back through a file.
"""

import os
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from volant.bundle.code import describe_code
from volant.client.submission import Prepared
from volant.model.errors import NotSupportedError
from volant.model.failures import Failure, FailureKind
from volant.testing.stubbing import Answer, Stub, StubTask, substitute_of
from volant.values.cloudpickling import dumps
from volant.values.failures import decode_exception, encode_exception
from volant.worker.substitutes import substitutes


def with_stubs(prepared: Prepared, stub_task: StubTask) -> Prepared:
    """The submission of a run whose workers do as the stubs do that are in effect now.

    Raises:
        NotSupportedError: an answer cannot be sent to another process.
    """
    stubs = [stub for stub in stub_task.made if not stub.is_removed]
    if not stubs:
        return prepared
    name, file = _write_module(stubs, stub_task.folder)
    needed = [name for stub in stubs for name in _modules_of(stub)]
    # Last: the answers may be made of what the other modules define.
    found = describe_code((*prepared.code.modules, *needed))
    code = msgspec.structs.replace(
        prepared.code, modules=found.modules, module_files=(*found.module_files, (name, str(file)))
    )
    return msgspec.structs.replace(prepared, code=code)


def install(path: str) -> None:
    """Put the stubs of a file into this process, for good. Called by the module that `with_stubs` writes."""
    for task, answer, recorded in pickle.loads(Path(path).read_bytes()):
        substitutes.put(task, substitute_of(answer, _appender(recorded)))


def _write_module(stubs: Sequence[Stub[..., Any]], folder: Path) -> tuple[str, Path]:
    name = f"volant_stubs_{len(list(folder.glob('*.py')))}"
    data, file = folder / f"{name}.pickle", folder / f"{name}.py"
    data.write_bytes(_pickled(stubs))
    file.write_text(f"from volant.testing.carrying import install\n\ninstall({str(data)!r})\n", encoding="utf-8")
    return name, file


def _pickled(stubs: Sequence[Stub[..., Any]]) -> bytes:
    carried: list[tuple[str, Answer, str]] = []
    for stub in stubs:
        try:
            answer = _picklable(stub.answer)
            dumps(answer)
        except Exception as error:
            msg = f"the stub of task {stub.task!r} cannot be sent to the processes of a local run: {error}"
            hint = "let it answer with what can be pickled, or run the test inline"
            raise NotSupportedError(msg, hint=hint) from error
        carried.append((stub.task, answer, str(stub.recorded)))
    return dumps(carried)


def _picklable(answer: Answer) -> Answer:
    """An exception travels as it would from a task: many cannot be pickled."""
    if not isinstance(answer.raises, BaseException):
        return answer
    return Answer(calls=partial(_raise, encode_exception(answer.raises, kind=FailureKind.USER)))


def _raise(failure: Failure, *_args: object, **_kwargs: object) -> None:
    raise decode_exception(failure)


def _modules_of(stub: Stub[..., Any]) -> list[str]:
    """Where the answer, or its class, was defined: a worker has to find it there."""
    answer = stub.answer
    found: list[object] = [answer.calls, answer.raises, type(answer.returns), type(answer.raises)]
    names = [getattr(each, "__module__", None) for each in found]
    return [name for name in names if isinstance(name, str) and name not in {"builtins", "__main__", Stub.__module__}]


def _appender(path: str) -> Callable[[dict[str, object]], object]:
    def append(arguments: dict[str, object]) -> None:
        data = dumps(arguments)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # In one write, so that those of several processes do not mix.
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    return append
