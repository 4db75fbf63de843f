"""Names of things, told apart by the type checker."""

from typing import NewType

RunId = NewType("RunId", str)
"""A run's name: unique in its home, chosen by the user or made up."""

ActionId = NewType("ActionId", str)
"""32 hex digits that follow from (parent, task, inputs digest, occurrence); unique in its run."""

TaskName = NewType("TaskName", str)
"""`<environment>.<function>`."""

SpecDigest = NewType("SpecDigest", str)
"""Hex digest over the encoded spec; two equal specs share it."""

CallId = NewType("CallId", int)
"""Number of a call within one attempt; the worker counts, the engine echoes."""

AttemptKey = NewType("AttemptKey", int)
"""Number of a live attempt; never stored. Each engine counts from a random number, so that none is used twice."""
