"""Where the user's code lives and what it is: all that another interpreter needs to find it as this one did."""

import importlib.machinery
import os
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

from volant.kit.digests import blake2b
from volant.kit.homes import is_text
from volant.model.code import CodeSource
from volant.model.errors import CallError

_MAIN = "__main__"
PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder that holds our package."""
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def describe_code(modules: Iterable[str]) -> CodeSource:
    """Say how another process finds the user's code.

    Args:
        modules: names of the modules that hold tasks; those that no file belongs to are left out, since what
            they hold travels by value.

    Raises:
        CallError: another process cannot be told: a path is not UTF-8 text, or the current folder is gone.
    """
    named = list(dict.fromkeys(modules))
    script, package = _main_script()
    if _MAIN not in named and script is not None and not _is_users_script(script):
        script, package = None, ""
    importable: list[str] = []
    files: list[tuple[str, str]] = []
    for name in named:
        module = sys.modules.get(name)
        file = _file_of(module)
        if name == _MAIN or module is None or file is None:
            continue
        importable.append(name)
        if not _is_found_by_name(name, file):
            files.append((name, file))
    cwd = _current_folder()
    sys_path = tuple(os.path.abspath(entry) for entry in sys.path)
    _check_paths((cwd, *sys_path, *(file for _, file in user_code_digest.files())))
    return CodeSource(
        interpreter=sys.executable,
        package_root=PACKAGE_ROOT,
        sys_path=sys_path,
        cwd=cwd,
        main_script=script,
        main_is_imported=_MAIN in named,
        main_package=package,
        modules=tuple(importable),
        module_files=tuple(files),
        digest=user_code_digest.digest(),
    )


def _current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        msg = "tasks cannot be started here: the current folder does not exist any more"
        raise CallError(msg, hint="change to a folder that exists, and try again") from None


def _check_paths(paths: Iterable[str]) -> None:
    for path in paths:
        if not is_text(path):
            msg = f"tasks cannot be started with the path {path!r}: its bytes are not UTF-8 text"
            raise CallError(msg, hint="rename the folder or file, or take it off the search path (PYTHONPATH)")


class UserCodeDigest:
    """Digest over the contents of the user's own files among the modules that are loaded.

    A file is read once, and again when its size or its time changed.
    """

    def __init__(self, *, not_users: Iterable[str]) -> None:
        """*not_users*: folders of the standard library and of ours; what is installed is known by its place."""
        self._not_users = tuple(os.path.join(os.path.abspath(folder), "") for folder in not_users)
        self._digests: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._is_users: dict[str, bool] = {}

    def digest(self) -> str:
        """Hex BLAKE2b over names and contents, whatever the order of the imports was."""
        total = blake2b(digest_size=32)
        for name, file in sorted(set(self.files())):
            content = self._content(file)
            if content is not None:
                total.update(f"{len(name)}:{name}".encode())
                total.update(content)
        return total.hexdigest()

    def files(self) -> Iterator[tuple[str, str]]:
        """The user's modules that are loaded, and their files."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and self.belongs_to_user(file):
                yield name, file

    def belongs_to_user(self, file: str) -> bool:
        """Whether a file is neither the standard library's, nor ours, nor installed."""
        known = self._is_users.get(file)
        if known is None:
            path = os.path.abspath(file)
            inside = path.startswith(self._not_users) or os.path.realpath(path).startswith(self._not_users)
            known = self._is_users[file] = not inside and not any(part in path for part in _INSTALLED)
        return known

    def _content(self, file: str) -> bytes | None:
        try:
            stat = os.stat(file)
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._digests.get(file)
            if known is None or known[0] != stamp:
                with open(file, "rb") as opened:
                    known = (stamp, blake2b(opened.read(), digest_size=32).digest())
                self._digests[file] = known
        except OSError:
            return None
        return known[1]


def _folders_of_others() -> list[str]:
    # A virtual environment has the standard library of the interpreter that it was made with.
    folders = {os.path.dirname(os.path.abspath(os.__file__)), os.path.join(PACKAGE_ROOT, "volant")}
    return [form for folder in folders for form in {folder, os.path.realpath(folder)}]


user_code_digest = UserCodeDigest(not_users=_folders_of_others())
"""Of this process."""


def _main_script() -> tuple[str | None, str]:
    main = sys.modules.get(_MAIN)
    file = getattr(main, "__file__", None)
    if file is None or not os.path.isfile(file):
        return None, ""
    return os.path.abspath(file), getattr(main, "__package__", None) or ""


def _is_users_script(script: str) -> bool:
    """Whether it is not a command that was installed beside the interpreter, such as ours or pytest."""
    return user_code_digest.belongs_to_user(script) and os.path.dirname(script) != os.path.dirname(sys.executable)


def _file_of(module: ModuleType | None) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and os.path.isfile(file) else None


def _is_found_by_name(name: str, file: str) -> bool:
    """Whether `import name` in a fresh interpreter with the same search path would load *file*."""
    found = _find(name)
    return found is not None and found.origin is not None and _is_same_file(found.origin, file)


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """What the search path leads to, whatever is loaded; None also when a package on the way is another one."""
    parent = name.rpartition(".")[0]
    if not parent:
        return importlib.machinery.PathFinder.find_spec(name)
    package = sys.modules.get(parent)
    found = _find(parent)
    if package is None or found is None or found.submodule_search_locations is None:
        return None
    file = _file_of(package)
    if file is not None and (found.origin is None or not _is_same_file(found.origin, file)):
        return None
    return importlib.machinery.PathFinder.find_spec(name, list(found.submodule_search_locations))


def _is_same_file(one: str, other: str) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)
