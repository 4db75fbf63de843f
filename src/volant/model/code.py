"""Where the user's code lives, as data."""

import msgspec

from volant.model.payloads import Payload


class CodeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh interpreter needs to find the user's code the way the client found it."""

    interpreter: str
    """Absolute path of the Python that runs it."""
    package_root: str
    """The folder that holds the `volant` package, for interpreters that do not have it on their path."""
    sys_path: tuple[str, ...]
    cwd: str
    main_script: str | None = None
    """The user's script that is `__main__` in the client; None where `__main__` is no file, or none of the user's."""
    main_is_imported: bool = True
    """Whether the script holds tasks, so that the zygote imports it. Otherwise a worker loads it when it is given a
    value that names something in it."""
    main_package: str = ""
    """The package of `__main__`, where it was started by `python -m`."""
    modules: tuple[str, ...] = ()
    """The user's modules that hold tasks; imported by the zygote."""
    module_files: tuple[tuple[str, str], ...] = ()
    """(module, path) for a file that was loaded as a module from outside `sys_path`."""
    digest: str
    """Hex BLAKE2b over the contents of the user's files that were imported."""
    archive: Payload | None = None
    """Those files as they were; see `volant.bundle.archive`."""
