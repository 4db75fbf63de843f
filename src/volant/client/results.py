"""From what the engine keeps of a run's end to the value or the exception of the user's."""

from typing import Any, assert_never

import msgspec

from volant.authoring.loading import load_task
from volant.authoring.task import Task
from volant.client.outputs import Outputs
from volant.model.control_protocol import ActionDetails, RunDetails
from volant.model.errors import NotSupportedError, RunAbortedError, RuntimeSystemError
from volant.model.failures import Failure, FailureKind
from volant.model.ids import RunId
from volant.model.payloads import Blob, Inline, Payload
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord
from volant.model.specs import ActionSpec, LoaderKind
from volant.model.worker_protocol import Aborted, Failed, Outcome, Succeeded
from volant.ports.blobs import Blobs
from volant.values.failures import decode_exception


def outcome_of_details(details: RunDetails) -> Outcome | None:
    """The outcome of a run that was looked up; None while it goes on."""
    run = details.run
    if not run.phase.is_final:
        return None
    if run.phase is ActionPhase.SUCCEEDED and details.root_outputs is not None:
        return Succeeded(outputs=details.root_outputs)
    if run.failure is not None:
        return Failed(failure=run.failure)
    return Aborted(reason="aborted")


def error_of(run: RunRecord, outcome: Outcome | None) -> BaseException | None:
    """What to raise for a run that has ended; None for one that succeeded."""
    if isinstance(outcome, Succeeded):
        return None
    failure = failure_of(run, outcome)
    if failure is None or failure.kind is FailureKind.ABORTED:
        reason = outcome.reason if isinstance(outcome, Aborted) else failure.message if failure else "no reason given"
        return RunAbortedError(f"run {run.run!r} was aborted: {reason}")
    return decode_exception(failure)


def failure_of(run: RunRecord, outcome: Outcome | None) -> Failure | None:
    """Why the run failed, if it did."""
    return outcome.failure if isinstance(outcome, Failed) else run.failure


def value_of(run: RunId, outcome: Outcome | None, task: Task[..., Any], blobs: Blobs) -> Any:
    """What the root task returned.

    Raises:
        RuntimeSystemError: the run has no outputs.
        BlobError: they are kept in the blob store, which does not have them.
    """
    return value_in(payload_of(run, outcome), task, blobs)


def value_in(payload: Payload, task: Task[..., Any], blobs: Blobs) -> Any:
    """What a task returned, from its stored form.

    Raises:
        BlobError: it is kept in the blob store, which does not have it.
    """
    return task.interface.decode_output(fetch(payload, blobs), blobs=lambda: blobs)


def payload_of(run: RunId, outcome: Outcome | None) -> Payload:
    """The stored form of what the root task returned.

    Raises:
        RuntimeSystemError: the run has no outputs.
    """
    if not isinstance(outcome, Succeeded):
        msg = f"run {run!r} has ended without outputs"
        raise RuntimeSystemError(msg)
    return outcome.outputs


def inputs_of(details: ActionDetails, task: Task[..., Any], blobs: Blobs) -> dict[str, Any]:
    """The arguments of an action by name, without defaults that were left to the function."""
    return task.interface.decode_arguments(fetch(details.action.inputs, blobs), blobs=lambda: blobs)


def outputs_of(value: Any, task: Task[..., Any]) -> Outputs:
    """The outputs in what the root task returned."""
    found = task.interface.outputs(value)
    return Outputs(tuple(found.values()), tuple(found))


def fetch(payload: Payload, blobs: Blobs) -> bytes:
    """The bytes of a payload, wherever they are."""
    match payload:
        case Inline():
            return payload.data
        case Blob():
            return blobs.get(payload)
        case _:
            assert_never(payload)


def find_task(details: ActionDetails, run: RunId) -> Task[..., Any]:
    """The task of an action that this program did not submit: its annotations say how its values are read.

    Raises:
        NotSupportedError: the task cannot be imported here.
    """
    loader = msgspec.msgpack.decode(details.spec_body, type=ActionSpec).loader
    try:
        return load_task(loader)
    except (Exception, SystemExit) as error:  # the user's module is imported: whatever it raises, it is not there
        why = f"{type(error).__name__}: {error}"
        msg = f"the values of run {run!r} are of task {details.action.task!r}, which cannot be loaded here: {why}"
        where = (
            "in the script that the run was started by"
            if loader.kind is LoaderKind.MAIN
            else "where its module can be imported"
        )
        hint = f"ask {where}; 'volant get io {run}' shows the values without the task"
        raise NotSupportedError(msg, hint=hint) from error
