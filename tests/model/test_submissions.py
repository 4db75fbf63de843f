"""What a run's record keeps of its submission."""

import msgspec

from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions
from volant.model.ids import RunId
from volant.model.reusing import Reuse
from volant.model.submissions import decode_submission, encode_submission, missing_variables

CODE = CodeSource(interpreter="python", package_root="", sys_path=("a",), cwd="/", digest="d")


def test_values_of_variables_are_left_out_and_their_names_kept() -> None:
    options = RunOptions(
        name="r", env_vars={"B": "two", "A": "one"}, env_names=("C",), reuse=Reuse(run=RunId("before"))
    )
    data = encode_submission(options, CODE)
    assert b"one" not in data
    assert b"two" not in data
    kept = msgspec.structs.replace(options, env_vars={}, env_names=("A", "B", "C"))
    assert decode_submission(data) == (kept, CODE)
    assert decode_submission(encode_submission(kept, CODE)) == (kept, CODE)


def test_records_of_before_are_read_with_the_values_that_they_have() -> None:
    options = {"mode": "local", "env_vars": {"A": "one"}, "grace_period": 2.5}
    found, code = decode_submission(msgspec.msgpack.encode([options, msgspec.to_builtins(CODE)]))
    assert found == RunOptions(mode="local", env_vars={"A": "one"}, grace_period=2.5)
    assert code == CODE
    assert b"one" not in encode_submission(found, code)


def test_only_what_nobody_gives_is_missing() -> None:
    options = RunOptions(env_vars={"A": "one"}, env_names=("A", "B", "C"))
    said = missing_variables(options, {"B": "two"}, hint="`do this`")
    assert said == "the values of the run's env_vars were not kept, and nobody gave them again: C; `do this` does"
    assert missing_variables(options, {"B": "two", "C": "three"}, hint="") is None
