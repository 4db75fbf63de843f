"""The same exceptions through real processes: by import, from `__main__`, and where a class is missing."""

import subprocess
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.values import failing_samples as samples
from volant.model import errors
from volant.model.failures import Failure
from volant.values.failures import decode_exception, details

_ROOT = Path(__file__).resolve().parents[2]
_RAISE = """
import sys, msgspec
from volant.values.failures import encode_exception
{code}
def run():
    {call}
try:
    run()
except BaseException as exc:
    sys.stdout.buffer.write(msgspec.msgpack.encode(encode_exception(exc)))
"""
_PASS_ON = """
import sys, msgspec
from volant.model.failures import Failure
from volant.values.failures import decode_exception, encode_exception
failure = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Failure)
try:
    raise decode_exception(failure)
except BaseException as exc:
    sys.stdout.buffer.write(msgspec.msgpack.encode(encode_exception(exc)))
"""


def _run(script: Path, data: bytes = b"") -> Any:
    out = subprocess.run(
        [sys.executable, str(script)],
        input=data,
        capture_output=True,
        check=True,
        cwd=_ROOT,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'src'}", "PATH": ""},
    )
    assert out.stderr == b""
    return out.stdout


def from_child(tmp_path: Path, call: str, code: str = "", *, levels: int = 1) -> Any:
    """What a fresh interpreter raised, as the parent gets it; further levels are further interpreters."""
    script, between = tmp_path / "child.py", tmp_path / "between.py"
    script.write_text(_RAISE.format(code=textwrap.dedent(code), call=call))
    between.write_text(_PASS_ON)
    data = _run(script)
    for _ in range(levels - 1):
        data = _run(between, data)
    return decode_exception(msgspec.msgpack.decode(data, type=Failure))


def test_builtin_exceptions_arrive_from_another_process(tmp_path: Path) -> None:
    code = "from tests.values import failing_samples as samples"
    every = "ExceptionGroup('all', [e for c in samples.builtin_classes() for e in samples.instances(c)"
    received = from_child(tmp_path, f"raise {every} if isinstance(e, Exception)])", code, levels=3)
    originals = [e for c in samples.builtin_classes() for e in samples.instances(c) if isinstance(e, Exception)]
    assert len(received.exceptions) == len(originals)
    for one, other in zip(received.exceptions, originals, strict=True):
        assert isinstance(one, type(other))
        assert isinstance(one, errors.TaskError)
        assert (repr(one), str(one)) == (repr(other), str(other))


def test_exceptions_of_users_arrive_from_another_process(tmp_path: Path) -> None:
    code = "from tests.values import failing_samples as samples"
    received = from_child(tmp_path, "raise ExceptionGroup('all', samples.user_instances())", code, levels=3)
    for one, other in zip(received.exceptions, samples.user_instances(), strict=True):
        assert isinstance(one, type(other))
        assert str(one) == str(other)
        assert {k: repr(v) for k, v in vars(one).items()} == {k: repr(v) for k, v in vars(other).items()}


@pytest.mark.parametrize(("call", "cls"), [("sys.exit(3)", SystemExit), ("raise KeyboardInterrupt", KeyboardInterrupt)])
def test_exceptions_that_end_programs_arrive_as_themselves(tmp_path: Path, call: str, cls: type) -> None:
    received = from_child(tmp_path, call, levels=2)
    assert type(received) is cls
    assert details(received).code == cls.__name__
    if cls is SystemExit:
        assert received.code == 3


def test_pydantic_errors_arrive_from_another_process(tmp_path: Path) -> None:
    code = "from tests.values import failing_samples as samples"
    received = from_child(tmp_path, "raise samples.validation_error()", code, levels=3)
    assert received.errors() == samples.validation_error().errors()


_MAIN = """
class Mine(LookupError):
    def __init__(self, *, where):
        super().__init__("lost")
        self.where = where
    def describe(self):
        return f"lost {self.where}"
"""


def test_a_class_of_the_childs_main_arrives_by_value(tmp_path: Path) -> None:
    received = from_child(tmp_path, "raise Mine(where='here')", _MAIN, levels=3)
    assert isinstance(received, LookupError)
    assert isinstance(received, errors.TaskError)
    assert type(received).__name__ == "Mine"
    assert received.describe() == "lost here"


def test_a_class_of_main_is_the_parents_own_where_it_runs_the_same_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(LookupError):
        pass

    monkeypatch.setattr(sys.modules["__main__"], "Mine", Mine, raising=False)
    received = from_child(tmp_path, "raise Mine(where='here')", _MAIN)
    assert isinstance(received, Mine)
    assert received.where == "here"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("module", ["", "raise SystemExit('not here')", "class Mine: pass", "Mine = 3"])
def test_a_class_that_the_parent_cannot_have_arrives_as_text(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "only_there.py").write_text(textwrap.dedent(_MAIN))
    code = f"sys.path.insert(0, {str(package)!r})\nfrom only_there import Mine"
    script = tmp_path / "child.py"
    script.write_text(_RAISE.format(code=code, call="raise Mine(where='here')"))
    data = _run(script)
    (package / "only_there.py").write_text(module)
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.delitem(sys.modules, "only_there", raising=False)
    received: Any = decode_exception(msgspec.msgpack.decode(data, type=Failure))
    assert type(received) is errors.TaskError
    assert str(received) == "lost"
    assert (received.code, details(received).code) == ("Mine", "Mine")
    assert "in run" in "".join(traceback.format_exception(received))


def test_cloudpickle_is_loaded_only_when_it_is_needed(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        "import sys\n"
        "from volant.values.failures import decode_exception, encode_exception\n"
        "from tests.values.failing_samples import KeywordOnly\n"
        "decode_exception(encode_exception(KeywordOnly(table='t', row=1)))\n"
        "print('cloudpickle' in sys.modules)\n"
    )
    assert _run(script) == b"False\n"
