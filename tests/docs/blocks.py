"""The code blocks of a page, and what it means to execute each of them.

A page is read as a person would follow it, from top to bottom, in an empty folder:

- ``python`` and ``toml`` blocks whose first line is a comment with a file's name are written to that file;
- other ``python`` blocks are run as scripts;
- files of tests that no command names are run by pytest at the end of the page;
- other ``toml`` blocks are parsed;
- ``python`` blocks that begin with ``# cell`` are the cells of one notebook, executed in a kernel;
- ``console`` blocks are typed into a shell. Where output is shown, it is compared: `...` stands for anything. A
  command that fails has to show what it prints;
- ``text`` blocks are pictures, not code.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

PATIENCE = 60.0
"""Seconds; nothing takes a tenth of it unless it hangs."""

_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|json|ini))\s*")
_DIRECTIVES_WITH_TEXT = frozenset(
    {"{admonition}", "{dropdown}", "{hint}", "{important}", "{note}", "{tab-item}", "{tab-set}", "{tip}", "{warning}"}
)
_MARK = "\x1e"

NOT_EXECUTED = {
    "pip install": "changes the environment the tests run in",
    "uv pip install": "changes the environment the tests run in",
    "git clone": "needs the network",
}
"""Commands that are only shown, by how they begin, and why. Those of `make` are asked for with `make -n`."""


class BlockFailed(AssertionError):
    """A block does not do what the page says; the message has the place, what was found and what was wanted."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def fail(self, reason: str) -> BlockFailed:
        return BlockFailed(f"{self.page}:{self.line}: {reason}")


@dataclass(frozen=True)
class Command:
    text: str
    shown: list[str] = field(default_factory=list)


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, also those inside directives that hold text, in their order."""
    return list(_blocks(page, page.read_text(encoding="utf-8"), 0))


def _blocks(page: Path, text: str, offset: int) -> Iterator[Block]:
    for token in MarkdownIt("commonmark").parse(text):
        if token.type != "fence" or token.map is None:
            continue
        language, line = (token.info.split() or [""])[0], offset + token.map[0] + 1
        if language in _DIRECTIVES_WITH_TEXT:
            yield from _blocks(page, token.content, line)
        elif not language.startswith("{"):
            yield Block(page, line, language, token.content)


class Reader:
    """Follows a page in a folder of their own."""

    def __init__(self, folder: Path, environ: dict[str, str], root: Path) -> None:
        self._folder = folder
        self._environ = environ
        self._root = root
        self._unused: dict[str, Block] = {}
        self._cells: list[Block] = []

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what all the blocks say.

        Raises:
            BlockFailed: one of them does not work as shown, or a file was written that nothing uses.
        """
        for block in blocks:
            match block.language:
                case "python" if block.text.startswith("# cell"):
                    self._cells.append(block)
                case "python" | "toml" | "json" | "ini" if found := _FILE.match(block.text):
                    self._write(block, found[1])
                case "python":
                    self._run_script(block)
                case "toml":
                    self._parse(block)
                case "console":
                    self._type(block)
                case "text":
                    pass
                case other:
                    raise block.fail(f"found a block of {other or 'no language'!r}, wanted one that can be executed")
        self._run_notebook()
        self._run_tests()
        for name, block in self._unused.items():
            raise block.fail(f"{name} is written and never used, wanted a command or a block that names it")

    def _write(self, block: Block, name: str) -> None:
        self._see(block.text)
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.suffix == ".py" and path.name != "conftest.py":
            self._unused[name] = block

    def _see(self, text: str) -> None:
        """Files that *text* names, or imports, are used."""
        for name in list(self._unused):
            stem = Path(name).stem
            if name in text or re.search(rf"\b(?:import|from) {re.escape(stem)}\b", text):
                del self._unused[name]

    def _run_script(self, block: Block) -> None:
        self._see(block.text)
        name = f"block_{block.line}.py"
        (self._folder / name).write_text(block.text, encoding="utf-8")
        done = self._shell(f"python {name}")
        if done.returncode:
            raise block.fail(f"the block ended with {done.returncode}\n{done.stdout}")

    def _parse(self, block: Block) -> None:
        try:
            tomllib.loads(block.text)
        except tomllib.TOMLDecodeError as error:
            raise block.fail(f"found what is no TOML: {error}") from None

    def _run_tests(self) -> None:
        for name in [name for name in self._unused if Path(name).name.startswith("test_")]:
            block = self._unused.pop(name)
            done = self._shell(f"python -m pytest -q -p no:cacheprovider {name}")
            if done.returncode:
                raise block.fail(f"the tests of {name} fail\n{done.stdout}")

    def _run_notebook(self) -> None:
        if not self._cells:
            return
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.text) for cell in self._cells])
        where = {"metadata": {"path": str(self._folder)}}
        client = NotebookClient(notebook, timeout=int(PATIENCE), kernel_name="python3", resources=where)
        # A kernel has warnings of its own.
        environ = {name: value for name, value in self._environ.items() if name != "PYTHONWARNINGS"}
        try:
            client.execute(env=environ)
        except CellExecutionError as error:
            raise self._cells[0].fail(f"the notebook fails: {error}") from None

    def _type(self, block: Block) -> None:
        self._see(block.text)
        commands = commands_of(block)
        executed = [command for command in commands if not self._is_only_shown(block, command)]
        script = "".join(
            f"{command.text}\n__code=$?; printf '\\n{_MARK}%s{_MARK}\\n' $__code; (exit $__code)\n"
            for command in executed
        )
        said = self._shell(script).stdout.split(_MARK)
        outputs, codes = said[0::2], said[1::2]
        if len(codes) < len(executed):
            raise block.fail(f"the shell gave up\n{said}")
        for number, (command, output, code) in enumerate(zip(executed, outputs, codes, strict=False)):
            asked = number + 1 < len(executed) and executed[number + 1].text == "echo $?"
            found = [line.rstrip() for line in output.strip("\n").split("\n")]
            if code != "0" and not command.shown and not asked:
                raise block.fail(f"`{command.text}` ended with {code}\n{output}")
            if command.shown and not is_as_shown(command.shown, found):
                wanted = "\n".join(command.shown)
                raise block.fail(f"`{command.text}` (exit code {code})\nfound:\n{output.strip()}\nwanted:\n{wanted}")

    def _is_only_shown(self, block: Block, command: Command) -> bool:
        if command.text.startswith("make "):
            done = subprocess.run(
                ["make", "-n", command.text.split()[1]], cwd=self._root, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise block.fail(f"`{command.text}`: {done.stderr}")
            return True
        return command.text.startswith(tuple(NOT_EXECUTED))

    def _shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block, each with the output that is shown for it."""
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            # What follows two blanks and a hash is said to the reader.
            commands.append(Command(re.sub(r"\s{2,}#.*$", "", line[2:])))
        elif not commands:
            raise block.fail(f"found {line!r}, wanted a line that begins with '$ '")
        elif commands[-1].text.endswith("\\"):
            commands[-1] = Command(f"{commands[-1].text[:-1]} {line.removeprefix('>').strip()}")
        else:
            commands[-1].shown.append(line.rstrip())
    for command in commands:
        while command.shown and not command.shown[-1]:
            command.shown.pop()
    return commands


def is_as_shown(shown: list[str], found: list[str]) -> bool:
    """Whether output is what a page shows, in which `...` on a line of its own is any lines, else any text."""
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, "\n".join([*found, ""])) is not None
