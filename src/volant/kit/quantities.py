"""CPU and memory quantities as people write them.

Cores are a number (`2`, `0.5`, `"1.5"`) or thousandths (`"500m"`); sizes are bytes, with a decimal (`k`, `M`, `G`, ...)
or binary (`Ki`, `Mi`, `Gi`, ...) unit. The grammar is that of Kubernetes quantities.
"""

import math
import re
from decimal import Decimal

_NUMBER_AND_UNIT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e([+-]?[0-9]{1,2}))?\s*([A-Za-z]*)", re.ASCII)
_UNITS = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


def parse_cpu(quantity: str | float) -> int:
    """Thousandths of a core, rounded up.

    Raises:
        ValueError: it is not a quantity of cores; the message says what was found and wanted.
    """
    number, unit = _split(quantity, wanted="a number of cores such as 2, 0.5 or '500m'")
    match unit:
        case "":
            return _ceil(number * 1000)
        case "m":
            return _ceil(number)
        case _:
            msg = f"{quantity!r} is not a number of cores such as 2, 0.5 or '500m': there is no unit {unit!r}"
            raise ValueError(msg)


def parse_bytes(quantity: str | float) -> int:
    """Bytes, rounded up.

    Raises:
        ValueError: it is not a size; the message says what was found and wanted.
    """
    number, unit = _split(quantity, wanted="a size such as 1048576, '512Mi' or '2Gi'")
    factor = _UNITS.get(unit)
    if factor is None:
        msg = f"{quantity!r} is not a size such as '512Mi' or '2Gi': there is no unit {unit!r}"
        raise ValueError(msg)
    return _ceil(number * factor)


def format_bytes(size: int) -> str:
    """A size for people: `512 B`, `1.5 MiB`."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1024 or unit == "TiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def format_cpu(thousandths: int) -> str:
    """Cores for people: `2`, `0.5`."""
    return f"{thousandths / 1000:g}"


def _split(quantity: object, *, wanted: str) -> tuple[Decimal, str]:
    if isinstance(quantity, bool) or not isinstance(quantity, (str, int, float)):
        msg = f"{quantity!r} is not {wanted}"
        raise ValueError(msg)
    found = _NUMBER_AND_UNIT.fullmatch(str(quantity).strip())
    if found is None:
        msg = f"{quantity!r} is not {wanted}"
        raise ValueError(msg)
    digits, exponent, unit = found.groups()
    return Decimal(digits) * (Decimal(10) ** int(exponent) if exponent else 1), unit


def _ceil(number: Decimal) -> int:
    return math.ceil(number)
