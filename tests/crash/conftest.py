"""Users with homes of their own, as in the scenarios."""

from tests.scenarios.conftest import new_user

__all__ = ["new_user"]
