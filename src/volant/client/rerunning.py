"""A run once more: the same task, inputs, options and code, or the code as it is now."""

from enum import StrEnum

import msgspec

from volant.bundle.archive import archived_files, make_archive
from volant.client.connection import Connection
from volant.client.results import fetch
from volant.kit.digests import blake2b
from volant.model.code import CodeSource
from volant.model.control_protocol import ActionDetails, GetAction, RunAccepted, RunOptions, SubmitRun
from volant.model.errors import NotSupportedError
from volant.model.records import RunRecord
from volant.model.submissions import decode_submission
from volant.ports.blobs import Blobs


class WhichCode(StrEnum):
    """The code of a run that is executed again."""

    ORIGINAL = "original"
    """What it was when the run was submitted, whatever was edited since."""
    CURRENT = "current"
    """What is in the same files now."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is different about the new run."""

    name: str | None = None
    """Made up by default."""
    labels: dict[str, str] = {}
    """Beside those that the run had."""
    code: WhichCode = WhichCode.ORIGINAL
    environ: dict[str, str]
    """The environment variables of this process: those of the run were not kept."""


async def rerun(connection: Connection, run: RunRecord, changes: Changes, *, blobs: Blobs) -> RunRecord:
    """Submit what *run* was made of; the new run is not watched.

    Raises:
        NotSupportedError: its record is of a release that this one cannot read.
        BlobError: the files of its code are wanted as they are now, and which they are is not known any more.
    """
    root = await connection.ask(lambda number: GetAction(request=number, run=run.run, action=run.root), ActionDetails)
    try:
        options, code = decode_submission(run.options)
    except msgspec.MsgspecError as error:
        msg = f"run '{run.run}' was submitted by a release whose record cannot be read: {error}"
        raise NotSupportedError(msg, hint="submit its task again") from error
    if changes.code is WhichCode.CURRENT:
        code = _as_it_is_now(code, blobs)
    labels = {**options.labels, **changes.labels}
    again = msgspec.structs.replace(options, name=changes.name, mode=_mode(options), labels=labels)
    accepted = await connection.ask(
        lambda number: SubmitRun(
            request=number,
            spec=root.action.spec,
            spec_body=root.spec_body,
            inputs=root.action.inputs,
            inputs_digest=root.action.inputs_digest,
            code=code,
            options=again,
            environ=changes.environ,
            watch=False,
        ),
        RunAccepted,
    )
    return accepted.run


def _mode(options: RunOptions) -> str:
    # An inline run was executed by the program that submitted it, which is not here.
    return "local" if options.mode == "inline" else options.mode


def _as_it_is_now(code: CodeSource, blobs: Blobs) -> CodeSource:
    if code.archive is None:
        return code
    archive = make_archive(archived_files(fetch(code.archive, blobs)))
    digest = blake2b(archive, digest_size=32).hexdigest()
    return msgspec.structs.replace(code, archive=blobs.put(archive), digest=digest)
