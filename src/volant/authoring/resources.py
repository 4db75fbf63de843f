"""What a task asks of the machine: cores, memory, accelerators, disk."""

import re
from collections.abc import Callable

from volant.authoring.validation import filled_text, is_sequence, items, refuse_type, refuse_value, whole_number
from volant.authoring.value import Value
from volant.kit.nearest import did_you_mean
from volant.kit.quantities import format_bytes, format_cpu, parse_bytes, parse_cpu
from volant.model.errors import DefinitionError

Cores = int | float | str
_DEVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]*", re.ASCII)
_MIG_SLICE = re.compile(r"[1-9][0-9]*g\.[1-9][0-9]*gb(\+[a-z.]+)?", re.ASCII)
_TPU_SLICE = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*){1,2}", re.ASCII)
_THOUSANDTHS = re.compile(r"[0-9.]+m", re.ASCII)
_OTHER_UNIT = re.compile(r"([0-9.]+)\s*([kKmMgGtT])(i?)[bB]?", re.ASCII)
_COUNT = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_COUNT_FIRST = re.compile(r"([1-9][0-9]*)\s*[x*:]?\s*([A-Za-z][A-Za-z0-9]*)", re.ASCII)
_MODELS = (
    *("A10", "A10G", "A30", "A40", "A100", "A100 40G", "A100 80G", "B200", "B300", "GB200", "GH200"),
    *("H100", "H100 80G", "H200", "K80", "L4", "L40", "L40S", "P4", "P100", "T4", "V100"),
    *("MI100", "MI210", "MI250", "MI250X", "MI300A", "MI300X", "MI325X", "MI350X", "MI355X"),
)
"""Models in their usual spelling. Others are accepted: a list ages faster than the programs that have it."""
_MOST_CORES = 1_000_000
_MOST_BYTES = 2**63 - 1
_CPU = "cores such as 1, 0.5 or '500m', or a pair (request, limit)"
_MEMORY = "a size such as '512Mi' or '2Gi', or a pair (request, limit)"
_SIZE = "a size such as '512Mi' or '2Gi'"


class Device(Value):
    """Accelerators of one kind.

    Args:
        quantity: how many, 1 or more.
        device: the model, such as `"A100"`; None takes any.
        partition: a MIG profile such as `"1g.5gb"`, or a TPU topology such as `"2x2x1"`.
        device_class: `"gpu"`, `"tpu"` or another class.

    Raises:
        DefinitionError: a value that cannot be.
    """

    quantity: int
    device: str | None
    partition: str | None
    device_class: str

    def __init__(
        self,
        quantity: int = 1,
        device: str | None = None,
        partition: str | None = None,
        device_class: str = "gpu",
    ) -> None:
        where = type(self).__name__
        if device is not None and not _DEVICE_NAME.fullmatch(filled_text(where, "device", device)):
            refuse_value(where, "device", device, "the name of a model such as 'A100'")
        kind = filled_text(where, "device_class", device_class).lower()
        if partition is not None:
            _check_partition(where, kind, filled_text(where, "partition", partition))
        self._keep(
            quantity=whole_number(where, "quantity", quantity, at_least=1),
            device=device,
            partition=partition,
            device_class=kind,
        )


class GPU(Device):
    """GPUs of one model: `GPU("A100", 2)`, or a slice of one: `GPU("A100", 1, "1g.5gb")`."""

    def __init__(self, device: str | None = None, quantity: int = 1, partition: str | None = None) -> None:
        if isinstance(device, str):
            _check_model("GPU", "device", device, device)
        super().__init__(quantity=quantity, device=device, partition=partition, device_class="gpu")


class TPU(Device):
    """A TPU of one generation, optionally with its topology: `TPU("V5P", "2x2x1")`."""

    def __init__(self, device: str, partition: str | None = None) -> None:
        super().__init__(quantity=1, device=device, partition=partition, device_class="tpu")


class Resources(Value):
    """What one attempt requests and may use.

    A single quantity is request and limit at once, a pair is `(request, limit)`. Sizes follow
    Kubernetes: `Mi` and `Gi` are powers of 1024, `M` and `G` powers of 1000.

    Args:
        cpu: cores such as `2`, `0.5` or `"500m"` (thousandths).
        memory: a size such as `"512Mi"`.
        gpu: how many, a model and a number such as `"A100:2"`, or a `GPU`, `TPU` or `Device`.
        disk: a size, of the attempt's scratch folder.
        shm: the size of shared memory, or `"auto"`.

    Raises:
        DefinitionError: a quantity that cannot be, or a request above its limit.
    """

    cpu: Cores | tuple[Cores, Cores] | None
    memory: str | tuple[str, str] | None
    gpu: str | int | Device | None
    disk: str | None
    shm: str | None

    def __init__(
        self,
        cpu: Cores | tuple[Cores, Cores] | None = None,
        memory: str | tuple[str, str] | None = None,
        gpu: str | int | Device | None = None,
        disk: str | None = None,
        shm: str | None = None,
    ) -> None:
        self._keep(
            cpu=_pair(cpu),
            memory=_pair(memory),
            gpu=gpu,
            disk=disk,
            shm=shm,
            cpu_range=_range("cpu", cpu, _CPU, _millicores),
            memory_range=_range("memory", memory, _MEMORY, _bytes),
            device=_device(gpu),
            disk_bytes=None if disk is None else _bytes("disk", disk, _SIZE),
            shm_bytes=None if shm is None or shm == "auto" else _shm(shm),
        )

    cpu_range: tuple[int, int] | None
    """Request and limit in thousandths of a core."""
    memory_range: tuple[int, int] | None
    """Request and limit in bytes."""
    device: Device | None
    disk_bytes: int | None
    shm_bytes: int | None
    """None also for `"auto"`."""

    def _content(self) -> object:
        return (self.cpu_range, self.memory_range, self.device, self.disk_bytes, self.shm_bytes, self.shm == "auto")


def _shm(shm: object) -> int:
    suggestion = did_you_mean(shm, ("auto",)) if isinstance(shm, str) else ""
    return _bytes("shm", shm, f"'auto' or {_SIZE}{suggestion}")


def _pair(value: object) -> object:
    return tuple(value) if is_sequence(value) else value


def _range(
    parameter: str, value: object, wanted: str, parse: Callable[[str, object, str], int]
) -> tuple[int, int] | None:
    if value is None:
        return None
    if not is_sequence(value):
        amount = parse(parameter, value, wanted)
        if not amount:
            refuse_value("Resources", parameter, value, f"{wanted}, more than 0")
        return amount, amount
    pair = items("Resources", parameter, value, wanted)
    if len(pair) != 2:
        refuse_value("Resources", parameter, pair, wanted)
    request = parse(f"the request of {parameter}", pair[0], wanted)
    limit = parse(f"the limit of {parameter}", pair[1], wanted)
    if not limit:
        refuse_value("Resources", f"the limit of {parameter}", pair[1], "more than 0")
    if request > limit:
        form = format_cpu if parameter == "cpu" else format_bytes
        message = f"Resources: {parameter} requests {pair[0]!r} ({form(request)}), "
        message += f"which is above its limit {pair[1]!r} ({form(limit)})"
        raise DefinitionError(message, hint=f"the request comes first: {parameter}=({pair[1]!r}, {pair[0]!r})")
    return request, limit


def _millicores(parameter: str, value: object, wanted: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        refuse_type("Resources", parameter, value, wanted)
    try:
        found = parse_cpu(value)
    except ValueError:
        refuse_value("Resources", parameter, value, wanted)
    if found > _MOST_CORES * 1000:
        refuse_value("Resources", parameter, value, f"at most {_MOST_CORES} cores")
    return found


def _bytes(parameter: str, value: object, wanted: str) -> int:
    if not isinstance(value, str):
        refuse_type("Resources", parameter, value, wanted)
    if _THOUSANDTHS.fullmatch(value):
        # Kubernetes reads this as thousandths of a byte, which nobody means.
        refuse_value("Resources", parameter, value, f"{wanted}; did you mean '{value[:-1]}M' or '{value[:-1]}Mi'?")
    try:
        found = parse_bytes(value)
    except ValueError:
        refuse_value("Resources", parameter, value, wanted + _size_meant(value))
    if found > _MOST_BYTES:
        refuse_value("Resources", parameter, value, "less than 8Ei")
    return found


def _size_meant(value: str) -> str:
    """The size that was probably meant by one with a unit of other programs: `1GiB`, `512mb`."""
    found = _OTHER_UNIT.fullmatch(value)
    return f"; did you mean '{found[1]}{found[2].upper()}{found[3]}'?" if found else ""


def _device(gpu: object) -> Device | None:
    wanted = "a number, a model and a number such as 'A100:1', a GPU, a TPU or a Device"
    if gpu is None:
        return None
    if isinstance(gpu, Device):
        return Device(gpu.quantity, gpu.device, gpu.partition, gpu.device_class)
    if isinstance(gpu, str):
        name, colon, count = gpu.partition(":")
        if not _DEVICE_NAME.fullmatch(name) or (colon and not _COUNT.fullmatch(count)):
            turned = _COUNT_FIRST.fullmatch(gpu)
            refuse_value(
                "Resources", "gpu", gpu, wanted + (f"; did you mean '{turned[2]}:{turned[1]}'?" if turned else "")
            )
        _check_model("Resources", "gpu", gpu, name)
        return Device(quantity=int(count) if colon else 1, device=name)
    if isinstance(gpu, bool) or not isinstance(gpu, int):
        refuse_type("Resources", "gpu", gpu, wanted)
    if gpu < 0:
        refuse_value("Resources", "gpu", gpu, wanted)
    return Device(quantity=gpu) if gpu else None


def _check_model(where: str, parameter: str, found: str, name: str) -> None:
    """Refuse a known model in another spelling: `a100`, `H10O`, `A-100`. What is not known at all is accepted."""
    for model in _MODELS:
        if name != model and _folded(name) == _folded(model):
            wanted = f"a model such as 'A100'; did you mean {found.replace(name, model)!r}?"
            refuse_value(where, parameter, found, wanted, hint="a device of another kind: Device(1, 'name')")


def _folded(model: str) -> str:
    """What is left of a model's name where spelling does not count."""
    return re.sub(r"[^a-z0-9]", "", model.casefold()).replace("o", "0").replace("l", "1").replace("i", "1")


def _check_partition(where: str, kind: str, partition: str) -> None:
    if kind == "gpu" and not _MIG_SLICE.fullmatch(partition):
        refuse_value(where, "partition", partition, "a slice such as '1g.5gb'")
    if kind == "tpu" and not _TPU_SLICE.fullmatch(partition):
        refuse_value(where, "partition", partition, "a topology such as '2x2x1'")
