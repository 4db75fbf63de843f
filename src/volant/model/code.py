"""Where the user's code lives, as data."""

import msgspec


class CodeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh interpreter needs to find the user's code the way the client found it."""

    interpreter: str
    """Absolute path of the Python that runs it."""
    package_root: str
    """The folder that holds the `volant` package, for interpreters that do not have it on their path."""
    sys_path: tuple[str, ...]
    cwd: str
    main_script: str | None = None
    """The script that is `__main__`; None when the root task lives in an importable module or travels by value."""
    main_package: str = ""
    """The package of `__main__`, where it was started by `python -m`."""
    modules: tuple[str, ...] = ()
    """The user's modules that hold tasks; imported by the zygote."""
    module_files: tuple[tuple[str, str], ...] = ()
    """(module, path) for a file that was loaded as a module from outside `sys_path`."""
    digest: str
    """Hex BLAKE2b over the contents of the user's files that were imported."""
