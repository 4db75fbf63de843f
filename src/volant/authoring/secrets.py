"""Secrets by name; a value never passes through here."""

import os
import re
from collections.abc import Sequence
from typing import cast

from volant.authoring.validation import filled_text, items, path_text, refuse_type, refuse_value, variable_name
from volant.authoring.value import Value

_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class Secret(Value):
    """One secret, and how the task finds it: in an environment variable, or as a file at *mount*.

    Args:
        key: its name; letters, digits, `_`, `-` and `.`.
        group: a name in front of the key, for secrets that belong together.
        mount: the path of the file.
        as_env_var: the variable; by default `GROUP_KEY` or `KEY` in capitals with `_` for `-` and `.`.

    Raises:
        DefinitionError: a name that cannot be.
    """

    key: str
    group: str | None
    mount: str | None
    as_env_var: str | None

    def __init__(
        self,
        key: str,
        group: str | None = None,
        mount: str | os.PathLike[str] | None = None,
        as_env_var: str | None = None,
    ) -> None:
        if as_env_var is None:
            _check_default_variable(key, group)
        self._keep(
            key=_name("key", key),
            group=None if group is None else _name("group", group),
            mount=None if mount is None else path_text("Secret", "mount", mount),
            as_env_var=None if as_env_var is None else variable_name("Secret", "as_env_var", as_env_var),
        )

    @property
    def env_var(self) -> str:
        """The name of the environment variable."""
        if self.as_env_var is not None:
            return self.as_env_var
        words = self.key if self.group is None else f"{self.group}_{self.key}"
        return words.upper().replace("-", "_").replace(".", "_")


SecretRequest = str | Secret | Sequence[str | Secret]


def as_secrets(where: str, value: object) -> tuple[Secret, ...]:
    """A request for secrets in its full form; the same secret twice counts once."""
    wanted = "a str, a Secret, or a list of them"
    if isinstance(value, (str, Secret)):
        value = (value,)
    found: dict[Secret, None] = {}
    for index, item in enumerate(items(where, "secrets", value, wanted)):
        if isinstance(item, str):
            found[Secret(item)] = None
        elif isinstance(item, Secret):
            found[item] = None
        else:
            refuse_type(where, f"secrets[{index}]", item, "a str or a Secret")
    return tuple(found)


def _check_default_variable(key: object, group: object) -> None:
    """A variable is named after group and key, so they cannot begin with a digit."""
    parameter, first = ("key", key) if group is None else ("group", group)
    if isinstance(first, str) and first[:1].isdigit():
        hint = f"name the variable yourself: Secret({key!r}, as_env_var='KEY_{first.upper()}')"
        refuse_value("Secret", parameter, first, "no digit first, since a variable is named after it", hint=hint)


def _name(parameter: str, value: object) -> str:
    if not _NAME.fullmatch(filled_text("Secret", parameter, value)):
        refuse_value("Secret", parameter, value, "letters, digits, '_', '-' and '.'")
    return cast(str, value)
