"""Types that travel: teaching one of your own."""

from volant.values.registering import register

__all__ = ["register"]
