"""What of a script is left out when a worker loads it."""

import textwrap
from typing import Any

import pytest

from volant.bundle.guard import compile_without_main_block


def run(text: str, name: str = "__main__") -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile_without_main_block(textwrap.dedent(text).encode(), "script.py"), namespace)
    return namespace


GUARDS = {
    "plain": 'if __name__ == "__main__":',
    "single quotes": "if __name__ == '__main__':",
    "reversed": 'if "__main__" == __name__:',
    "parenthesised": 'if (__name__ == "__main__"):',
    "and": 'if __name__ == "__main__" and True:',
    "and reversed": 'if True and "__main__" == __name__:',
    "not unequal": 'if not __name__ != "__main__":',
    "in": 'if __name__ in ("__main__", "main"):',
    "is": 'if __name__ is "__main__":',
    "walrus": 'if (found := __name__ == "__main__"):',
}


@pytest.mark.filterwarnings("ignore:.*is.* with:SyntaxWarning")
@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_the_guarded_block_does_not_run(guard: str) -> None:
    assert "ran" not in run(f"{guard}\n    ran = True\n")


def test_what_an_import_would_run_does_run() -> None:
    found = run(
        """
        if __name__ == "__main__":
            branch = "script"
        elif True:
            branch = "elif"
        else:
            branch = "else"
        if __name__ != "__main__":
            imported = True
        if __name__ == "__main__" or 1:
            either = True
        kind = "script" if __name__ == "__main__" else "module"
        IS_MAIN = __name__ == "__main__"
        if IS_MAIN:
            ran = True
        """
    )
    assert (found["branch"], found["imported"], found["either"], found["kind"]) == ("elif", True, True, "module")
    assert "ran" not in found


def test_guards_inside_other_statements() -> None:
    found = run(
        """
        seen = []
        try:
            if __name__ == "__main__":
                seen.append("try")
        finally:
            for _ in range(1):
                with open("/dev/null"):
                    if __name__ == "__main__":
                        seen.append("with")
        match __name__:
            case "__main__":
                seen.append("match")
            case _:
                seen.append("other")
        class Box:
            if __name__ == "__main__":
                inside = True
        """
    )
    assert found["seen"] == ["other"]
    assert not hasattr(found["Box"], "inside")


def test_the_name_itself_stays() -> None:
    found = run(
        """
        here = __name__
        class Box: ...
        def asks():
            return __name__ == "__main__"
        other = __name__ == "elsewhere"
        """
    )
    assert found["here"] == "__main__"
    assert found["Box"].__module__ == "__main__"
    assert found["asks"]()
    assert not found["other"]


def test_line_numbers_docstring_future_imports_and_annotations_stay() -> None:
    found = run(
        '''
        """What the script does."""
        from __future__ import annotations
        limit: int = 3
        if __name__ == "__main__":
            print("no")
        def f(x: NotDefinedAnywhere) -> None:
            raise ValueError
        '''
    )
    assert found["__doc__"] == "What the script does."
    assert found["__annotations__"] == {"limit": "int"}
    assert found["f"].__annotations__["x"] == "NotDefinedAnywhere"
    assert found["f"].__code__.co_firstlineno == 7


def test_encodings_are_honoured() -> None:
    source = "# -*- coding: latin-1 -*-\nword = 'caf\u00e9'\n".encode("latin-1")
    namespace: dict[str, Any] = {}
    exec(compile_without_main_block(source, "script.py"), namespace)
    assert namespace["word"] == "caf\u00e9"


def test_future_imports_of_ours_do_not_leak_into_scripts() -> None:
    assert run("def f(x: int) -> None: ...")["f"].__annotations__["x"] is int
