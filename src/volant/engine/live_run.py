"""A run that this engine executes: its rules, and what it needs to start attempts."""

import math
from collections.abc import Mapping

import msgspec

from volant.decide.placement import Request
from volant.decide.run_machine import RunMachine
from volant.kit.clock import Timer
from volant.kit.digests import blake2b
from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.specs import ActionSpec, ResourceSpec
from volant.model.worker_protocol import RunContext
from volant.ports.launcher import Launcher

_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
"""What numerical libraries read at import to decide how many threads they start."""

_MOST_ENVIRONMENTS = 64
"""So many process environments are kept ready; one has all variables of the client."""

_PASSING = frozenset({"_", "OLDPWD", "SHLVL"})
"""Variables that shells change with every command; they would tell every command's environment apart."""


class ProtocolError(ValueError):
    """A worker said something that no worker of ours says."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A complete process environment and its digest."""

    digest: str
    variables: Mapping[str, str]


class KnownSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spec as bytes and as data, with what follows from it."""

    digest: SpecDigest
    body: bytes
    spec: ActionSpec
    request: Request


class LiveRun:
    """A run in this engine's memory."""

    def __init__(
        self,
        machine: RunMachine,
        *,
        launcher: Launcher,
        context: RunContext,
        code: CodeSource,
        options: RunOptions,
        environ: Mapping[str, str],
        is_placed: bool,
    ) -> None:
        """*is_placed*: whether its attempts take places of this machine; inline ones run in the client."""
        self.machine = machine
        self.launcher = launcher
        self.context = context
        self.code = code
        self.options = options
        self.is_placed = is_placed
        self.committed_seq = 0
        self.is_given_up = False
        """It is another's, or cannot be written: nothing of it is written or told here any more."""
        self.is_broken = False
        """Whether its rules failed: nothing is decided any more, and it is about to end."""
        self.said_not_enforced: set[str] = set()
        """Parameters without an effect that were mentioned already."""
        self.log_folder: str | None = None
        """Where its attempts' output is captured; None until the first of them has a place, and for inline ones."""
        self.timers: dict[ActionId, Timer] = {}
        """Of actions that wait for the time of their next attempt, and of those that are timers."""
        self._base = {name: value for name, value in environ.items() if name not in _PASSING}
        self._specs: dict[SpecDigest, KnownSpec] = {}
        self._environments: dict[tuple[tuple[tuple[str, str], ...], int], Environment] = {}

    @property
    def run(self) -> RunId:
        """Its name."""
        return self.machine.run

    def log_path(self, action: ActionId, attempt: int) -> str | None:
        """The file that captures an attempt's output."""
        return None if self.log_folder is None else f"{self.log_folder}/{action}-{attempt}.log"

    def break_off(self) -> None:
        """Its rules failed."""
        self.is_broken = True
        for action in list(self.timers):
            self.stop_timer(action)

    def stop_timer(self, action: ActionId) -> None:
        """The action need not be woken any more."""
        timer = self.timers.pop(action, None)
        if timer is not None:
            timer.cancel()

    def learn(self, digest: SpecDigest, body: bytes, *, has_gpus: bool) -> KnownSpec:
        """Keep a spec that calls will name.

        Raises:
            msgspec.MsgspecError: it is not one.
        """
        spec = _decode_spec(body)
        known = KnownSpec(digest=digest, body=body, spec=spec, request=_request(spec.resources, has_gpus=has_gpus))
        self._specs[digest] = known
        return known

    def known(self, digest: SpecDigest) -> KnownSpec | None:
        """A spec, if it was learnt before."""
        return self._specs.get(digest)

    def spec(self, digest: SpecDigest) -> KnownSpec:
        """A spec that was learnt before.

        Raises:
            ProtocolError: it was not.
        """
        known = self._specs.get(digest)
        if known is None:
            msg = f"spec {digest} was never told"
            raise ProtocolError(msg)
        return known

    def environment(self, spec: ActionSpec) -> Environment:
        """The process environment of an attempt: the client's, the task's, the run's; later ones win."""
        threads = max(1, math.ceil((spec.resources.cpu_limit or spec.resources.cpu) / 1000))
        found = self._environments.get((spec.env_vars, threads))
        if found is not None:
            return found
        variables = dict(self._base)
        for name in THREAD_VARIABLES:
            variables.setdefault(name, str(threads))
        variables.update(spec.env_vars)
        variables.update(self.options.env_vars)
        digest = blake2b(
            msgspec.msgpack.encode([msgspec.to_builtins(self.code), sorted(variables.items())]), digest_size=16
        ).hexdigest()
        found = Environment(digest=digest, variables=variables)
        if len(self._environments) >= _MOST_ENVIRONMENTS:
            self._environments.clear()
        self._environments[spec.env_vars, threads] = found
        return found


def _request(resources: ResourceSpec, *, has_gpus: bool) -> Request:
    # A GPU that the machine does not have is said once and not waited for.
    return Request(cpu=resources.cpu, memory=resources.memory, gpus=resources.gpu if has_gpus else 0)
