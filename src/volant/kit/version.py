"""The version of the package; `pyproject.toml` says the same, and a test holds them together.

A constant, since asking the installed metadata costs as much as everything else that a client imports.
"""

VERSION = "0.1.0.dev0"
