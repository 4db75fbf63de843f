"""Links shown with an action."""

import string
from typing import Any, Protocol, cast, runtime_checkable

from volant.authoring.validation import filled_text, items, refuse_type, refuse_value
from volant.authoring.value import Value
from volant.kit.nearest import did_you_mean
from volant.model.specs import LinkSpec

PLACEHOLDERS = ("run_name", "action_name", "parent_action_name", "task_name", "attempt")
"""What `{...}` in a link may name; the engine fills it in."""


@runtime_checkable
class Link(Protocol):
    """Anything with a `name` and a method that gives the address.

    The arguments are placeholders such as `{run_name}`; what is returned may contain them.
    """

    @property
    def name(self) -> str: ...

    def get_link(
        self,
        *,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: Any,
    ) -> str: ...


class URLLink(Value):
    """A name and an address, in which `{run_name}`, `{action_name}`, `{parent_action_name}`, `{task_name}` and
    `{attempt}` stand for the action's own.

    Raises:
        DefinitionError: an empty name, or an address with another placeholder.
    """

    name: str
    uri: str

    def __init__(self, name: str, uri: str) -> None:
        self._keep(name=filled_text("URLLink", "name", name), uri=_checked("URLLink", uri))

    def get_link(self, *args: Any, **kwargs: Any) -> str:
        """The address, placeholders left in."""
        return self.uri


def as_links(where: str, value: object) -> tuple[Link, ...]:
    """One link or a sequence of them."""
    if isinstance(value, Link) and not isinstance(value, type):
        return (value,)
    found = items(where, "links", value, "a Link or a sequence of them")
    for index, item in enumerate(found):
        if isinstance(item, type) or not isinstance(item, Link):
            refuse_type(where, f"links[{index}]", item, "an object with a name and get_link(...)")
    return cast("tuple[Link, ...]", found)


def link_spec(link: Link) -> LinkSpec:
    """The link as data."""
    uri = link.get_link(
        run_name="{run_name}",
        project="",
        domain="",
        context={},
        parent_action_name="{parent_action_name}",
        action_name="{action_name}",
        pod_name="",
        task_name="{task_name}",
    )
    return LinkSpec(name=link.name, uri=uri)


def _checked(where: str, uri: object) -> str:
    text = filled_text(where, "uri", uri)
    try:
        fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        refuse_value(where, "uri", uri, f"a text whose braces close ({error}); '{{{{' stands for a brace")
    for _, name, form, conversion in fields:
        if form or conversion:
            refuse_value(where, "uri", uri, f"plain placeholders such as {{{name}}}, without ':' or '!'")
        if name not in PLACEHOLDERS:
            wanted = f"placeholders among {', '.join(PLACEHOLDERS)}{did_you_mean(str(name), PLACEHOLDERS)}"
            refuse_value(where, "uri", uri, wanted)
    return text
