"""What may be asked of the machine, and in which spelling."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.authoring.resources import GPU, TPU, Device, Resources
from volant.model.errors import DefinitionError, DefinitionTypeError, UnknownParameterError

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
SIZES = st.tuples(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)))


@given(SIZES)
def test_a_size_is_its_number_times_its_unit(size: tuple[int, str]) -> None:
    number, unit = size
    assert Resources(memory=f"{number}{unit}").memory_range == (number * UNITS[unit],) * 2


@given(SIZES, SIZES)
def test_a_request_is_accepted_up_to_its_limit(low: tuple[int, str], high: tuple[int, str]) -> None:
    request, limit = (f"{number}{unit}" for number, unit in (low, high))
    sizes = low[0] * UNITS[low[1]], high[0] * UNITS[high[1]]
    if sizes[0] <= sizes[1]:
        assert Resources(memory=(request, limit)).memory_range == sizes
    else:
        with pytest.raises(DefinitionError, match="above its limit"):
            Resources(memory=(request, limit))


@given(st.integers(1, 10**6))
def test_thousandths_of_a_core_are_exact_in_every_spelling(millis: int) -> None:
    decimal = Fraction(millis, 1000)
    text = f"{millis // 1000}.{millis % 1000:03}"
    assert Resources(cpu=f"{millis}m").cpu_range == (millis, millis)
    assert Resources(cpu=text) == Resources(cpu=f"{millis}m") == Resources(cpu=float(decimal))


@given(st.text(max_size=8))
def test_a_text_is_a_size_or_refused_by_name(text: str) -> None:
    refusals: list[DefinitionError] = []
    try:
        found = Resources(memory=text).memory_range
    except DefinitionError as error:
        refusals.append(error)
        found = (1, 1)
    assert found is not None
    assert found[0] > 0
    assert all(str(error).startswith(f"Resources: memory is {text!r}, expected a size") for error in refusals)


@pytest.mark.parametrize(
    ("given_", "cpu"),
    [
        ({"cpu": 1}, (1000, 1000)),
        ({"cpu": 0.5}, (500, 500)),
        ({"cpu": "500m"}, (500, 500)),
        ({"cpu": "2"}, (2000, 2000)),
        ({"cpu": (0.5, 2)}, (500, 2000)),
        ({"cpu": ["250m", "1"]}, (250, 1000)),
        ({"cpu": (0, 1)}, (0, 1000)),
        ({}, None),
    ],
)
def test_cores_are_a_number_thousandths_or_a_pair(given_: dict[str, Any], cpu: tuple[int, int] | None) -> None:
    assert Resources(**given_).cpu_range == cpu


@pytest.mark.parametrize(
    ("gpu", "device"),
    [
        (2, Device(quantity=2)),
        (0, None),
        ("A100:1", Device(quantity=1, device="A100")),
        ("H100 80G:8", Device(quantity=8, device="H100 80G")),
        ("T4", Device(quantity=1, device="T4")),
        (GPU("A100", 1, "1g.5gb"), Device(quantity=1, device="A100", partition="1g.5gb")),
        (TPU("V5P", "2x2x1"), Device(quantity=1, device="V5P", partition="2x2x1", device_class="tpu")),
        (Device(quantity=3, device="Gaudi1", device_class="HPU"), Device(3, "Gaudi1", None, "hpu")),
    ],
)
def test_accelerators_are_a_number_a_model_or_a_device(gpu: Any, device: Device | None) -> None:
    assert Resources(gpu=gpu).device == device


def test_disk_and_shared_memory_are_sizes() -> None:
    found = Resources(disk="10Gi", shm="1Gi")
    assert (found.disk_bytes, found.shm_bytes) == (10 * 2**30, 2**30)
    assert Resources(shm="auto").shm_bytes is None


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({"cpu": -1}, DefinitionError, "cpu is -1, expected cores such as 1, 0.5 or '500m'"),
        ({"cpu": 0}, DefinitionError, "cpu is 0, expected cores .* more than 0"),
        ({"cpu": "a lot"}, DefinitionError, "cpu is 'a lot', expected cores"),
        ({"cpu": "1Gi"}, DefinitionError, "cpu is '1Gi', expected cores"),
        ({"cpu": float("nan")}, DefinitionError, "cpu is nan, expected cores"),
        ({"cpu": float("inf")}, DefinitionError, "cpu is inf, expected cores"),
        ({"cpu": True}, DefinitionTypeError, r"cpu is True \(bool\), expected cores"),
        ({"cpu": {}}, DefinitionTypeError, r"cpu is {} \(dict\), expected cores"),
        ({"cpu": (2, 1)}, DefinitionError, r"cpu requests 2 \(2\), which is above its limit 1 \(1\)"),
        ({"cpu": (1, 2, 3)}, DefinitionError, r"cpu is \(1, 2, 3\), expected .* a pair"),
        ({"cpu": (1, None)}, DefinitionTypeError, "the limit of cpu is None, expected cores"),
        ({"cpu": (0, 0)}, DefinitionError, "the limit of cpu is 0, expected more than 0"),
        ({"memory": "-1Gi"}, DefinitionError, "memory is '-1Gi', expected a size"),
        ({"memory": "1GiB"}, DefinitionError, "memory is '1GiB', expected a size"),
        ({"memory": "400m"}, DefinitionError, "memory is '400m', expected .*did you mean '400M' or '400Mi'"),
        ({"memory": 4}, DefinitionTypeError, r"memory is 4 \(int\), expected a size such as '512Mi'"),
        ({"memory": ("2Gi", "1Gi")}, DefinitionError, r"requests '2Gi' \(2.0 GiB\), .* limit '1Gi' \(1.0 GiB\)"),
        ({"gpu": -1}, DefinitionError, "gpu is -1, expected a number"),
        ({"gpu": "A100:0"}, DefinitionError, "gpu is 'A100:0', expected"),
        ({"gpu": ":2"}, DefinitionError, "gpu is ':2', expected"),
        ({"gpu": 1.5}, DefinitionTypeError, r"gpu is 1.5 \(float\), expected"),
        ({"disk": 10}, DefinitionTypeError, r"disk is 10 \(int\), expected a size"),
        ({"shm": "automatic"}, DefinitionError, "shm is 'automatic', expected 'auto' or a size"),
        ({"mem": "1Gi"}, UnknownParameterError, "Resources has no parameter 'mem'; did you mean 'memory'"),
    ],
)
def test_nonsense_is_refused_by_name(given_: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Resources(**given_)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GPU("A100", 0), "GPU: quantity is 0, expected an int, 1 or more"),
        (lambda: GPU("A100", 1, "half"), "GPU: partition is 'half', expected a slice such as '1g.5gb'"),
        (lambda: GPU("1+1"), r"GPU: device is '1\+1', expected the name of a model"),
        (lambda: TPU("V5P", "2"), "TPU: partition is '2', expected a topology such as '2x2x1'"),
        (lambda: Device(quantity="1"), r"Device: quantity is '1' \(str\), expected an int"),  # type: ignore[arg-type]
    ],
)
def test_a_device_that_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make()


def test_resources_that_mean_the_same_are_equal() -> None:
    assert Resources(cpu=1, memory="1Gi") == Resources(cpu="1000m", memory=("1024Mi", "1Gi"))
    assert hash(Resources(gpu="A100:1")) == hash(Resources(gpu=GPU("A100")))
    assert Resources(shm="auto") != Resources()
