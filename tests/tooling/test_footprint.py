"""What `pip install volant` puts on a machine: few distributions, few megabytes (P12 in the targets).

Read from the metadata of what is installed here, so nothing is fetched; test tools and extras do not count.
"""

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import volant

MOST_DISTRIBUTIONS = 25
MOST_BYTES = 60 * 1000 * 1000


def base_install() -> dict[str, Distribution]:
    """The package and all that it needs without extras, by name."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement("volant")]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found and not wanted.extras:
            continue
        found[name] = distribution(name)
        waiting += needs_of(found[name], wanted.extras)
    return found


def needs_of(installed: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in installed.requires or ():
        need = Requirement(text)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield need


def size_of(installed: Distribution) -> int:
    """Bytes of its files, and of the bytecode that an installer makes of them."""
    files = installed.files or ()
    paths = {path.locate() for path in files if ".." not in path.parts}
    sources = [path for path in paths if path.suffix == ".py" and path.is_file()]
    compiled = [each for path in sources for each in path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc")]
    kept = [path for path in paths if path.suffix != ".pyc" and path.is_file()]
    return sum(path.stat().st_size for path in (*kept, *compiled))


def test_the_base_install_has_few_distributions() -> None:
    names = sorted(base_install())
    assert "pydantic" in names
    assert "psycopg" not in names
    assert len(names) <= MOST_DISTRIBUTIONS, names


def test_the_base_install_is_small() -> None:
    sizes = {name: size_of(installed) for name, installed in base_install().items()}
    # What is installed from a checkout lists no files of its own.
    package = Path(volant.__file__).parent
    sizes["volant"] = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert all(size > 10_000 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= MOST_BYTES, sizes
