"""The same bytes in every process: under other hash seeds, on other Pythons, from scripts and modules."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from volant.values.codec import decode

PROGRAM = """
    import sys
    from dataclasses import dataclass
    from typing import Any
    from volant.values.codec import decode, encode

    @dataclass
    class Local:
        words: set[str]
        next: "Local | None" = None

    words = {f"word{n}" for n in range(100)}
    value = {"a": Local(words, Local({"x"})), "b": frozenset({1, "1", None, 2.5})}
    print(encode(value["a"], Local).data.hex())
    print(encode([value["b"], words], Any).data.hex())
    print(sorted(name for name in ("pydantic", "numpy", "cloudpickle", "asyncio") if name in sys.modules))
"""


def run(program: str, *, cwd: Path, args: tuple[str, ...] = (), **env: str) -> list[str]:
    script = cwd / "script.py"
    script.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, str(script), *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_another_hash_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    outputs = {tuple(run(PROGRAM, cwd=tmp_path, PYTHONHASHSEED=seed)) for seed in ("0", "1", "4242")}
    assert len(outputs) == 1


def test_the_codec_alone_imports_neither_pydantic_nor_numpy_nor_cloudpickle(tmp_path: Path) -> None:
    assert run(PROGRAM, cwd=tmp_path)[-1] == "[]"


def test_a_class_of_a_script_has_the_same_bytes_as_of_the_imported_module(tmp_path: Path) -> None:
    as_script = run(PROGRAM, cwd=tmp_path)[0]
    as_module = run(
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('other', 'original.py')\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "import sys; sys.modules['other'] = module; spec.loader.exec_module(module)\n"
        if (tmp_path / "original.py").write_text(textwrap.dedent(PROGRAM))
        else "",
        cwd=tmp_path,
    )[0]
    assert as_script == as_module


def test_what_a_notebook_defines_travels_by_value_where_no_annotation_names_it(tmp_path: Path) -> None:
    program = """
        import __main__
        del __main__.__file__
        from dataclasses import dataclass
        from enum import Enum
        from typing import Any
        from volant.values.codec import encode

        @dataclass
        class Cell:
            n: int

        class Kind(Enum):
            A = 1

        def work(cell):
            return cell.n + 1

        encoded = encode([Cell(1), Kind.A, work], Any)
        assert encoded.pickled == ("value[0]", "value[1]", "value[2]"), encoded.pickled
        assert encode([Cell(1)], list[Cell]).pickled == ()
        print(encoded.data.hex())
    """
    cell, kind, work = decode(bytes.fromhex(run(program, cwd=tmp_path)[0]), Any)
    assert work(cell) == 2
    assert type(cell).__name__ == "Cell"
    assert kind.name == "A"


PLAIN = """
    import sys
    from typing import Any
    from volant.values.codec import decode, encode

    class Plain:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def kind(self) -> str:
            return type(self.inner).__name__

    def double(n: int) -> int:
        return 2 * n

    if len(sys.argv) == 1:
        print(encode(Plain([Plain(double)]), Plain).data.hex())
    else:
        plain = decode(bytes.fromhex(sys.argv[1]), Plain)
        print(type(plain) is type(plain.inner[0]) is Plain, plain.inner[0].inner is double)
"""


def test_a_pickled_instance_of_a_scripts_class_is_one_where_the_same_script_runs(tmp_path: Path) -> None:
    (pickled,) = run(PLAIN, cwd=tmp_path)
    assert run(PLAIN, cwd=tmp_path, args=(pickled,)) == ["True True"]


def test_a_pickled_instance_of_a_scripts_class_is_read_where_another_script_runs(tmp_path: Path) -> None:
    (pickled,) = run(PLAIN, cwd=tmp_path)
    plain = decode(bytes.fromhex(pickled), Any)
    assert plain.kind() == "list"
    assert plain.inner[0].inner(2) == 4


def test_a_numpy_scalar_is_read_where_numpy_was_not_imported_before(tmp_path: Path) -> None:
    program = """
        import sys
        from typing import Any
        from volant.values.codec import decode
        value = decode(bytes.fromhex(sys.argv[1]), Any)
        print(type(value).__name__, value)
    """
    data = "0144033c663808000000000000e03f"
    assert run(program, cwd=tmp_path, args=(data,)) == ["float64 0.5"]
