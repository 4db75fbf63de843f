"""A run once more: the same task, inputs, options and code, or some of them changed, and what succeeded taken over."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from os.path import exists
from typing import Any

import msgspec

from volant.authoring.limits import check_size
from volant.authoring.task import Task
from volant.bundle.archive import archived_files, make_archive
from volant.client.connection import Connection
from volant.client.results import fetch
from volant.client.submission import stored
from volant.kit.digests import blake2b
from volant.kit.nearest import did_you_mean
from volant.model.code import CodeSource
from volant.model.control_protocol import ActionDetails, GetAction, RunAccepted, RunOptions, SubmitRun
from volant.model.errors import ArgumentError, CallError, NotSupportedError
from volant.model.payloads import Payload
from volant.model.records import RunRecord
from volant.model.reusing import Reuse
from volant.model.specs import ActionSpec
from volant.model.submissions import decode_submission, missing_variables
from volant.ports.blobs import Blobs
from volant.values.codec import pickle_warning


class WhichCode(StrEnum):
    """The code of a run that is executed again."""

    ORIGINAL = "original"
    """What it was when the run was submitted, whatever was edited since."""
    CURRENT = "current"
    """What is in the same files now."""


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made of."""

    run: RunRecord
    root: ActionDetails
    options: RunOptions
    code: CodeSource


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a root task."""

    payload: Payload
    digest: str | None
    warnings: tuple[str, ...] = ()


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is different about the new run."""

    name: str | None = None
    """Made up by default."""
    labels: dict[str, str] = {}
    """Beside those that the run had."""
    env_vars: dict[str, str] = {}
    """Variables of the run, whose values were not kept."""
    code: WhichCode = WhichCode.ORIGINAL
    recover: bool = False
    """Whether what succeeded is taken over."""
    from_action: str | None = None
    """Take over what succeeded, but not this action, what is below it and what may depend on it."""
    inputs: Inputs | None = None
    """Those of the run by default."""
    environ: dict[str, str]
    """The environment variables of this process: those of the run were not kept."""


async def read_before(connection: Connection, run: RunRecord) -> Before:
    """What *run* was made of.

    Raises:
        NotSupportedError: its record is of a release that this one cannot read.
    """
    root = await connection.ask(lambda number: GetAction(request=number, run=run.run, action=run.root), ActionDetails)
    options, code = recorded_submission(run)
    return Before(run=run, root=root, options=options, code=code)


def recorded_submission(run: RunRecord) -> tuple[RunOptions, CodeSource]:
    """The options and the code of a run, without the values of its variables.

    Raises:
        NotSupportedError: its record is of a release that this one cannot read.
    """
    try:
        return decode_submission(run.options)
    except msgspec.MsgspecError as error:
        msg = f"run '{run.run}' was submitted by a release whose record cannot be read: {error}"
        raise NotSupportedError(msg, hint="submit its task again") from error


def check_names(task: Task[..., Any], names: Iterable[str]) -> None:
    """See that a task has parameters of these names.

    Raises:
        ArgumentError: it does not; the nearest one is named.
    """
    known = task.interface.by_name
    for name in names:
        if name not in known:
            msg = f"task '{task.name}' has no parameter '{name}'{did_you_mean(name, known)}"
            raise ArgumentError(msg, hint=f"it has {', '.join(known)}" if known else "it has none")


def changed_inputs(before: Before, task: Task[..., Any], values: Mapping[str, object], blobs: Blobs) -> Inputs:
    """The inputs of the run, with these *values* in place of those that they had.

    Raises:
        ArgumentError: the task has no such parameter, or a value is not of its type.
        ValueCodecError: the inputs of the run are not those of this task any more.
        InlineIOMaxBytesBreached: more than may travel by value.
    """
    check_names(task, values)
    interface = task.interface
    data = fetch(before.root.action.inputs, blobs)
    found = interface.encode_inputs({**interface.decode_arguments(data, blobs=lambda: blobs), **values})
    check_size(found, msgspec.msgpack.decode(before.root.spec_body, type=ActionSpec), "inputs")
    warnings = tuple(map(pickle_warning, found.pickled))
    return Inputs(payload=stored(found, blobs), digest=found.digest, warnings=warnings)


async def submit_again(connection: Connection, before: Before, changes: Changes, *, blobs: Blobs) -> RunRecord:
    """Submit what a run was made of; the new run is not watched.

    Raises:
        CallError: outcomes are to be taken over and the run has not ended.
        ActionNotFoundError: it has no such action as all is to be executed again from.
        BlobError: the files of its code are wanted as they are now, and which they are is not known any more.
    """
    root, options = before.root, before.options
    code = current_code(before.code, blobs) if changes.code is WhichCode.CURRENT else before.code
    inputs = changes.inputs or Inputs(payload=root.action.inputs, digest=root.action.inputs_digest)
    again = msgspec.structs.replace(
        options,
        name=changes.name,
        mode=_mode(options),
        labels={**options.labels, **changes.labels},
        env_vars={**options.env_vars, **changes.env_vars},
        reuse=_reuse(before.run, changes),
    )
    missing = missing_variables(again, changes.environ, hint="`volant rerun --env NAME=VALUE`")
    accepted = await connection.ask(
        lambda number: SubmitRun(
            request=number,
            spec=root.action.spec,
            spec_body=root.spec_body,
            inputs=inputs.payload,
            inputs_digest=inputs.digest,
            code=code,
            options=again,
            environ=changes.environ,
            warnings=(*inputs.warnings, *([missing] if missing else [])),
            watch=False,
            shows=False,
        ),
        RunAccepted,
    )
    return accepted.run


def current_code(code: CodeSource, blobs: Blobs) -> CodeSource:
    """The same files as they are now.

    Raises:
        BlobError: which they are is not known any more.
        CallError: one that has to be imported is not there any more.
    """
    if code.archive is None:
        return code
    files = archived_files(fetch(code.archive, blobs))
    needed = {*code.modules, *(module for module, _ in code.module_files)}
    gone = [path for module, path in files if (module in needed or path == code.main_script) and not exists(path)]
    if gone:
        # Tried all the same, it would fail the run for good.
        msg = f"the code as it is now cannot be used: {', '.join(gone)} is not there any more"
        raise CallError(msg, hint="put it back, or use the original code, which was kept")
    archive = make_archive(files)
    digest = blake2b(archive, digest_size=32).hexdigest()
    return msgspec.structs.replace(code, archive=blobs.put(archive), digest=digest)


def _reuse(run: RunRecord, changes: Changes) -> Reuse | None:
    if not changes.recover and changes.from_action is None:
        return None
    return Reuse(run=run.run, from_action=changes.from_action)


def _mode(options: RunOptions) -> str:
    # An inline run was executed by the program that submitted it, which is not here.
    return "local" if options.mode == "inline" else options.mode
