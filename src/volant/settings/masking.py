"""Showing a URL without what is secret in it."""

import re

_MASK = "***"
# Up to the last `@` before a path: a password that was not quoted may itself contain one.
_PASSWORD = re.compile(r"(//[^/?#:@\s]*:)[^/?#\s]*(@)")
_SECRET_PARAMETER = re.compile(
    r"([?&;](?:[\w.-]*(?:password|passwd|pwd|secret|token|credential|signature|sig|api[_-]?key|access[_-]?key)[\w.-]*)=)"
    r"[^&;#\s]*",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """The text with every password of a URL in it replaced by stars."""
    return _SECRET_PARAMETER.sub(rf"\1{_MASK}", _PASSWORD.sub(rf"\1{_MASK}\2", text))
