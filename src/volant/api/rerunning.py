"""`volant.rerun`: a run once more, all of it or only what did not succeed."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from volant.api.program import Program, program
from volant.api.runs import Run
from volant.authoring.validation import choice, filled_text, flag, instance_of, text_map, variables
from volant.client.driving import drive
from volant.client.rerunning import Changes, WhichCode, changed_inputs, read_before, submit_again
from volant.client.results import find_task
from volant.kit.nearest import did_you_mean
from volant.model.errors import UnknownParameterError
from volant.settings.loading import submission_environ

_HERE = "volant.rerun"


class RerunOptions(TypedDict, total=False):
    """The keywords of `volant.rerun`. Absent and None mean: as it was."""

    recover: bool | None
    """Whether what succeeded is taken over, so that only the rest is executed. The root always is."""
    from_action: str | None
    """Take over what succeeded, but not of this action, of what is below it, and of what its callers called once it had
    ended. An id, or as much of it as is unique, or the name of a task that the run called once."""
    inputs: Mapping[str, object] | None
    """Other values for inputs of the root task, by name. Its module must be there to be imported."""
    code: Literal["original", "current"] | None
    """As it was when the run was submitted, which is the default, or as it is in the same files now."""
    name: str | None
    """Of the new run; made up by default."""
    labels: Mapping[str, str] | None
    """Beside those that the run had."""
    env_vars: Mapping[str, str] | None
    """Environment variables of the new run. The values of those that the run had were not kept."""
    wait: bool | None
    """Whether to wait for the end of the new run, which is the default, or return as soon as it is accepted."""


class RerunFunction:
    """Runs a run again; `rerun(name)` blocks, `await rerun.aio(name)` does not."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, run: str, /, **options: Unpack[RerunOptions]) -> Run[Any]:
        """Run the task of the run of this name again, as a new run; wait for its end, and return the new `Run`."""
        wanted = _checked(options)
        again = drive(lambda: self._rerun(run, wanted), name=_HERE)
        again.raise_failure()
        return again

    async def aio(self, run: str, /, **options: Unpack[RerunOptions]) -> Run[Any]:
        """As the call, for async code."""
        again = await self._rerun(run, _checked(options))
        again.raise_failure()
        return again

    async def _rerun(self, name: str, wanted: "_Wanted") -> Run[Any]:
        record = (await Run.get.aio(name)).record
        client = self._program.client()
        changes = wanted.changes
        async with client.connection() as connection:
            before = await read_before(connection, record)
            if wanted.inputs:
                task = find_task(before.root, record.run)
                inputs = changed_inputs(before, task, wanted.inputs, client.blobs)
                changes = msgspec.structs.replace(changes, inputs=inputs)
            accepted = await submit_again(connection, before, changes, blobs=client.blobs)
        again = Run[Any](client, accepted, env_vars=changes.env_vars)
        if wanted.wait:
            await again.wait.aio()
        return again


rerun = RerunFunction(program)
"""Run the task of a run again, as a new run; wait for its end, and return the new `Run`.

The inputs, the options and the code are those of the run, the environment variables those of this process. Nothing that
was done before is used, unless `recover=True` or `from_action` say so. What is taken over belongs to the new run: the
old one may be deleted. `await rerun.aio(run, ...)` is the same for async code.

Args:
    run: the run's name, or as much of it as is unique.
    options: `volant.api.rerunning.RerunOptions`.

Raises:
    RunNotFoundError: there is none of this name, or several.
    ActionNotFoundError: it has no such action, or several; nothing was written.
    CallError: something is to be taken over and the run has not ended; nothing was written.
    ArgumentError: the task has no such input, or a value is not of its type; nothing was written.
    NotSupportedError: there are other inputs and the task cannot be imported here; nothing was written.
    UnknownParameterError: an option that there is not; the nearest one is named.
    DefinitionError: a value that cannot be.
    TaskError: the root task failed, as `volant.run` raises it.
"""


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    changes: Changes
    inputs: Mapping[str, object]
    wait: bool


def _checked(options: RerunOptions) -> _Wanted:
    names = tuple(RerunOptions.__annotations__)
    for name in options:
        if name not in names:
            msg = f"{_HERE}: there is no option {name!r}{did_you_mean(name, names)}"
            raise UnknownParameterError(msg, hint=f"the options are {', '.join(sorted(names))}")
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    changes = Changes(
        name=filled_text(_HERE, "name", given["name"]) if "name" in given else None,
        labels=text_map(_HERE, "labels", given.get("labels", {})),
        env_vars=variables(_HERE, "env_vars", given.get("env_vars", {})),
        code=WhichCode(choice(_HERE, "code", given.get("code", "original"), tuple(which.value for which in WhichCode))),
        recover=flag(_HERE, "recover", given.get("recover", False)),
        from_action=filled_text(_HERE, "from_action", given["from_action"]) if "from_action" in given else None,
        environ=submission_environ(),
    )
    instance_of(_HERE, "inputs", given.get("inputs", {}), Mapping, "a dict from names of inputs to values")
    return _Wanted(changes=changes, inputs=given.get("inputs", {}), wait=flag(_HERE, "wait", given.get("wait", True)))
