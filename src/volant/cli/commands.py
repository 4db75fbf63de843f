"""What all commands are made of."""

from rich_click import RichCommand as Command
from rich_click import RichGroup as Group

__all__ = ["Command", "Group"]
