"""A run once more: the same task, inputs and options, and the code that is in place now."""

import msgspec

from volant.client.connection import Connection
from volant.model.control_protocol import ActionDetails, GetAction, RunAccepted, RunOptions, SubmitRun
from volant.model.errors import NotSupportedError
from volant.model.records import RunRecord
from volant.model.submissions import decode_submission


async def rerun(
    connection: Connection, run: RunRecord, *, name: str | None, labels: dict[str, str], environ: dict[str, str]
) -> RunRecord:
    """Submit what *run* was made of; the new run is not watched. *labels* are added to those it had.

    Raises:
        NotSupportedError: its record is of a release that this one cannot read.
    """
    root = await connection.ask(lambda number: GetAction(request=number, run=run.run, action=run.root), ActionDetails)
    try:
        options, code = decode_submission(run.options)
    except msgspec.MsgspecError as error:
        msg = f"run '{run.run}' was submitted by a release whose record cannot be read: {error}"
        raise NotSupportedError(msg, hint="submit its task again") from error
    again = msgspec.structs.replace(options, name=name, mode=_mode(options), labels={**options.labels, **labels})
    accepted = await connection.ask(
        lambda number: SubmitRun(
            request=number,
            spec=root.action.spec,
            spec_body=root.spec_body,
            inputs=root.action.inputs,
            inputs_digest=root.action.inputs_digest,
            code=code,
            options=again,
            environ=environ,
            watch=False,
        ),
        RunAccepted,
    )
    return accepted.run


def _mode(options: RunOptions) -> str:
    # An inline run was executed by the program that submitted it, which is not here.
    return "local" if options.mode == "inline" else options.mode
