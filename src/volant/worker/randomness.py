"""Fresh randomness for each fork, so that two of them do not draw the same numbers.

CPython reseeds the functions of `random` and `tempfile` itself when a process forks. What is left are the global
generators of libraries, and generators that the user's modules made for themselves without a seed: in two fresh
programs they would differ, so in two forks they must. One that was given a seed is left alone: it was meant to give
the same numbers in every program, and does.
"""

import contextlib
import gc
import os
import random
import secrets
import sys
import weakref
from typing import Any


class GeneratorWatch(contextlib.AbstractContextManager["GeneratorWatch"]):
    """Around the import of the user's modules: notes which generators were made without a seed."""

    def __init__(self) -> None:
        self._unseeded: weakref.WeakSet[random.Random] = weakref.WeakSet()
        self._entropies: set[int] = set()
        self._restore: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> "GeneratorWatch":
        seed, randbits = random.Random.seed, secrets.randbits

        def noting_seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            (self._unseeded.add if a is None else self._unseeded.discard)(generator)
            seed(generator, a, version)

        def noting_randbits(k: int) -> int:
            # numpy takes this function at its own import, and draws the entropy of a generator without a seed from it.
            drawn = randbits(k)
            self._entropies.add(drawn)
            return drawn

        self._replace(random.Random, "seed", noting_seed)
        self._replace(secrets, "randbits", noting_randbits)
        return self

    def __exit__(self, *_exc: object) -> None:
        for owner, name, value in reversed(self._restore):
            setattr(owner, name, value)
        self._restore.clear()

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._restore.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def found(self) -> "Generators":
        """The generators that every fork has to seed anew."""
        numpy_random: Any = sys.modules.get("numpy.random")
        numpys: list[Any] = []
        if numpy_random is not None and self._entropies:
            kinds = (numpy_random.Generator, numpy_random.RandomState)
            numpys = [each for each in gc.get_objects() if isinstance(each, kinds) and self._is_unseeded(each)]
        return Generators(list(self._unseeded), numpys)

    def _is_unseeded(self, generator: Any) -> bool:
        bits = getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None)
        entropy = getattr(getattr(bits, "seed_seq", None), "entropy", None)
        return isinstance(entropy, int) and entropy in self._entropies


class Generators:
    """Generators of the user's modules without a seed."""

    def __init__(self, plain: list[random.Random], numpys: list[Any]) -> None:
        self._plain = plain
        self._numpys = numpys

    def reseed(self) -> None:
        """In a fork: give these, and the global ones of libraries that are loaded, a state of their own."""
        for generator in self._plain:
            generator.seed()
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed(None)
        for numpys in self._numpys:
            bits = getattr(numpys, "bit_generator", None) or numpys._bit_generator
            bits.state = type(bits)().state
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            torch.default_generator.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
