"""The user's files as modules: under the name that other processes use for them, and without running what they run.

While a worker or `volant run` imports, `volant.run` must not start anything: it asks `is_importing_tasks`.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Generator
from types import ModuleType

from volant.bundle.archive import archived_spec, installed
from volant.bundle.guard import compile_without_main_block
from volant.model.errors import CallError

_MAIN = "__main__"


class _Importing:
    """How many such imports are under way in this process."""

    depth = 0


def is_importing_tasks() -> bool:
    """Whether the user's modules are being imported right now for the tasks in them."""
    return _Importing.depth > 0


@contextlib.contextmanager
def importing_tasks() -> Generator[None]:
    """Around the import of user code for its tasks, by a worker or a command."""
    _Importing.depth += 1
    try:
        yield
    finally:
        _Importing.depth -= 1


def load_file_as_module(path: str | os.PathLike[str], *, name: str | None = None) -> ModuleType:
    """Import the file at *path*, as `import` would if its folder was on the module search path.

    A file inside a package gets its dotted name, so relative imports in it work. The folder of the file, or of its
    outermost package, is put first on `sys.path`. A file that was imported before is not executed again.

    Args:
        path: a Python file.
        name: the module's name where another process has chosen it; `sys.path` is then left alone.

    Raises:
        FileNotFoundError: there is no such file.
        CallError: another module of the same name is loaded already, or it is no Python file.
        Exception: whatever the file raises.
    """
    file = os.path.abspath(path)
    if not os.path.isfile(file) and installed().content(file) is None:
        msg = f"there is no file {file}"
        raise FileNotFoundError(msg)
    if name is None:
        name, folder = module_name_of(file)
        if folder not in sys.path:
            sys.path.insert(0, folder)
    known = sys.modules.get(name)
    if known is not None:
        return _same_module(known, file)
    parent = name.rpartition(".")[0]
    if parent:
        _ensure_package(parent, os.path.dirname(file))
        # The package may have imported it.
        known = sys.modules.get(name)
        if known is not None:
            return _same_module(known, file)
    return _execute(name, file)


def load_main(path: str | os.PathLike[str], *, package: str = "") -> ModuleType:
    """Load a script as the module `__main__`, leaving out what stands under its `__main__` guard.

    Args:
        path: the script.
        package: its package, where it was started by `python -m package.module`.

    Raises:
        FileNotFoundError: there is no such file.
        SyntaxError: it is no Python.
        Exception: whatever the script raises.
    """
    file = os.fspath(path)
    source = installed().content(file)
    if source is None:
        with open(file, "rb") as script:
            source = script.read()
    module = ModuleType(_MAIN)
    module.__file__ = file
    module.__dict__["__builtins__"] = __builtins__
    module.__package__ = package or None
    module.__dict__.setdefault("__annotations__", {})
    before = sys.modules.get(_MAIN)
    sys.modules[_MAIN] = module
    try:
        if package:
            __import__(package)
        exec(compile_without_main_block(source, file), module.__dict__)
    except BaseException:
        if before is not None:
            sys.modules[_MAIN] = before
        raise
    return module


def module_name_of(file: str) -> tuple[str, str]:
    """The dotted name of a file, and the folder that has to be searched for it.

    Folders above it that hold an `__init__.py` are packages, if a package can have their name.
    """
    folder, base = os.path.split(file)
    stem = os.path.splitext(base)[0]
    parts = [] if stem == "__init__" else [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder).isidentifier():
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return ".".join(parts) or stem, folder


def _same_module(known: ModuleType, file: str) -> ModuleType:
    loaded = getattr(known, "__file__", None)
    if loaded is not None and os.path.exists(loaded) and os.path.samefile(loaded, file):
        return known
    msg = (
        f"{file} would be imported as {known.__name__!r}, but a module of that name is loaded already, "
        f"from {loaded or 'no file'}"
    )
    raise CallError(msg, hint="rename the file: another module of this name is in its way")


def _ensure_package(name: str, folder: str) -> None:
    """See that the package is there; where it cannot be imported, *folder* is it."""
    if name in sys.modules:
        return
    parent = name.rpartition(".")[0]
    if parent:
        _ensure_package(parent, os.path.dirname(folder))
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name) is not None:
            __import__(name)
            return
    init = os.path.join(folder, "__init__.py")
    if os.path.isfile(init):
        _execute(name, init, search=[folder])
        return
    module = ModuleType(name)
    module.__path__ = [folder]
    sys.modules[name] = module
    _attach(name, module)


def _execute(name: str, file: str, *, search: list[str] | None = None) -> ModuleType:
    content = installed().content(file)
    if content is None:
        spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    else:
        spec = archived_spec(name, file, content, search=search)
    if spec is None or spec.loader is None:
        msg = f"{file} cannot be imported, expected the name of a Python file, which ends in .py"
        raise CallError(msg, hint="rename it, or name the file that holds the tasks")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # As `import` does it: whoever imports a name from a module that is not through with it is told so.
    spec._initializing = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        spec._initializing = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    # The module may have put something else in its own place.
    module = sys.modules.get(name, module)
    _attach(name, module)
    return module


def _attach(name: str, module: ModuleType) -> None:
    """Make it an attribute of its package, as `import` does."""
    parent, _, leaf = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], leaf, module)
