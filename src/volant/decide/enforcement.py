"""What is accepted and has no effect here: said once per run, and refused where the run is strict.

What this version does not do yet becomes effective by deleting its row, here for options of a run and in
`volant.authoring.enforcement` for parameters of tasks.
"""

from collections.abc import Callable

from volant.model.control_protocol import RunOptions
from volant.model.specs import ActionSpec

_NOT_ENFORCED: tuple[tuple[str, Callable[[RunOptions], bool]], ...] = (
    ("interruptible", lambda options: bool(options.interruptible)),
    ("queue", lambda options: bool(options.queue)),
    ("overwrite_cache", lambda options: options.overwrite_cache),
    ("disable_run_cache", lambda options: options.disable_run_cache),
)
"""An option of a run, and whether what was given would have had an effect."""

STRICT_HINT = "leave it out, or let it be a warning: strict = false, VOLANT_STRICT=0"


def not_enforced(options: RunOptions) -> tuple[str, ...]:
    """The options that were given and have no effect yet."""
    return tuple(name for name, is_given in _NOT_ENFORCED if is_given(options))


def refusal_of_options(options: RunOptions) -> str | None:
    """Why a strict run is refused for its own options."""
    names = not_enforced(options) if options.strict else ()
    return f"strict: the run's options give {', '.join(names)}, not enforced yet" if names else None


def refusal_of_task(options: RunOptions, spec: ActionSpec, *, excess: str, has_gpus: bool) -> str | None:
    """Why a strict run is refused what one of its tasks wants; *excess* is what it requests beyond the machine."""
    if not options.strict:
        return None
    if spec.resources.gpu and not has_gpus:
        return f"strict: task '{spec.task}' requests {spec.resources.gpu} GPU, and this machine has none"
    if excess:
        return f"strict: task '{spec.task}' requests more than the machine has ({excess})"
    if spec.not_enforced:
        return f"strict: task '{spec.task}' gives {', '.join(spec.not_enforced)}, not enforced yet"
    return None
