"""The simulation holds on a few hundred seeds, replays exactly, and notices an engine that is broken."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import simulate

SEEDS = 250
PATIENCE = 200
"""Seeds in which a broken engine is found out."""


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_every_law_holds_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + 50):
        verdict = simulate(seed)
        assert verdict.broken is None, "\n".join([*verdict.history, f"make sim SEED={seed}"])


def test_a_seed_is_a_history_to_the_byte_in_every_process() -> None:
    seeds = [2, 7, 14]
    here = ["\n".join(simulate(seed).history) for seed in seeds]
    assert here == ["\n".join(simulate(seed).history) for seed in seeds]
    assert len(set(here)) == len(seeds)
    for seed, history in zip(seeds, here, strict=True):
        for hash_seed in ("1", "2"):
            environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
            command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
            root = Path(__file__).parents[2]
            printed = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=True).stdout
            assert printed == f"{history}\nseed {seed}: every law held\n"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_engine_is_found_out(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.installed():
        found = (simulate(seed).broken for seed in range(PATIENCE))
        broken = next((broken for broken in found if broken is not None), None)
    assert broken is not None, f"{PATIENCE} seeds and nobody noticed"
    assert re.match(mutant.law, broken)
