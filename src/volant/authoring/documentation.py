"""What is said about a task in the command line's help and the UI."""

from volant.authoring.validation import text
from volant.authoring.value import Value


class Documentation(Value):
    """A description of a task; its first line is the summary. Without one a task's docstring is taken."""

    description: str

    def __init__(self, description: str = "") -> None:
        self._keep(description=text("Documentation", "description", description))

    @property
    def summary(self) -> str:
        """The first line."""
        return self.description.strip().partition("\n")[0].strip()
