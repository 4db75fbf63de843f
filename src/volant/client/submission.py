"""A task and its arguments become a submission; whatever is wrong with them is said before anything is sent."""

from collections.abc import Mapping
from typing import Any

import msgspec

from volant.authoring.limits import check_size
from volant.authoring.task import Task
from volant.bundle.code import describe_code
from volant.decide.enforcement import STRICT_HINT, refusal_of_options, refusal_of_task
from volant.kit.digests import blake2b
from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions, SubmitRun
from volant.model.errors import NotSupportedError
from volant.model.ids import SpecDigest
from volant.model.payloads import Payload
from volant.model.specs import Loader
from volant.ports.blobs import Blobs
from volant.values.codec import Encoded, pickle_warning
from volant.values.contents import store

INLINE_BYTES = 64 * 1024
"""Larger inputs go to the blob store."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A submission without its number."""

    spec: SpecDigest
    spec_body: bytes
    inputs: Encoded
    inputs_digest: str | None
    code: CodeSource
    options: RunOptions
    environ: dict[str, str]
    warnings: tuple[str, ...]

    def request(self, number: int, inputs: Payload, archive: Payload, *, watch: bool, shows: bool) -> SubmitRun:
        """The message to the engine."""
        return SubmitRun(
            request=number,
            spec=self.spec,
            spec_body=self.spec_body,
            inputs=inputs,
            inputs_digest=self.inputs_digest,
            code=msgspec.structs.replace(self.code, archive=archive),
            options=self.options,
            environ=self.environ,
            warnings=self.warnings,
            watch=watch,
            shows=shows,
        )


def prepare(
    task: Task[..., Any],
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]],
    options: RunOptions,
    *,
    environ: dict[str, str],
    warnings: tuple[str, ...] = (),
) -> Prepared:
    """Bind and encode the arguments, merge the spec, and name the code.

    Raises:
        ArgumentError: the arguments do not bind, or a value does not fit its type.
        CallError: the code cannot be found by another process.
        DefinitionError: the task's settings contradict one another.
        InlineIOMaxBytesBreached: more than may travel by value.
        NotSupportedError: the task asks for something that has no effect yet and must not be ignored.
    """
    args, kwargs = arguments
    bound = task.interface.bind(args, kwargs)
    inputs = task.interface.encode_inputs(bound)
    spec = task.spec()
    check_size(inputs, spec, "inputs")
    # What only the machine tells, the engine says.
    if refusal := refusal_of_options(options) or refusal_of_task(options, spec, excess="", has_gpus=True):
        raise NotSupportedError(refusal, hint=STRICT_HINT)
    code = describe_code(_modules(task, spec.loader))
    body = msgspec.msgpack.encode(spec)
    return Prepared(
        spec=SpecDigest(blake2b(body, digest_size=32).hexdigest()),
        spec_body=body,
        inputs=inputs,
        inputs_digest=inputs.digest,
        code=code,
        options=options,
        environ=environ,
        warnings=(*warnings, *map(pickle_warning, inputs.pickled)),
    )


def stored(encoded: Encoded, blobs: Blobs) -> Payload:
    """A value as it travels, along with the message or in the blob store; its parts are in the store."""
    return store(encoded.data, encoded.parts, blobs, inline_bytes=INLINE_BYTES)


def _modules(task: Task[..., Any], root: Loader) -> tuple[str, ...]:
    """The modules that a worker imports: that of the root task first, then those of the environments it can reach."""
    found = [root.module]
    waiting = [task.environment]
    seen: set[int] = set()
    while waiting:
        environment = waiting.pop()
        if id(environment) in seen:
            continue
        seen.add(id(environment))
        found += [each.func.__module__ for each in environment.tasks.values()]
        waiting += environment.depends_on
    return tuple(dict.fromkeys(found))
