"""Build the documentation into `.cache/docs`; a warning is an error. `--serve` shows it on this machine."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / ".cache" / "docs"
_LOADS = (
    re.compile(r'<(?:script|img|iframe|source)[^>]*\ssrc="((?:https?:)?//[^"]+)"'),
    re.compile(r'<link[^>]*\shref="((?:https?:)?//[^"]+)"'),
    re.compile(r"url\([\"']?((?:https?:)?//[^)\"']+)"),
    re.compile(r"@import[^;]*((?:https?:)?//[^;\"']+)"),
)
WORK = ROOT / ".cache" / "doctrees"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="serve it on localhost when it is built")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args(argv)
    code = build()
    if code == 0 and given.serve:
        serve(given.port)
    return code


def build() -> int:
    """Build from nothing, so that what the code says now is what the pages say."""
    options = ("--fresh-env", "--quiet", "--fail-on-warning", "--keep-going")
    command = (sys.executable, "-m", "sphinx", *options, "--doctree-dir", str(WORK), str(ROOT / "docs"), str(SITE))
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        return done.returncode
    if foreign := list(fetched_from_elsewhere()):
        print("error: pages fetch from elsewhere, which a reader without a network, or one who minds, cannot:")
        print("\n".join(foreign), flush=True)
        return 1
    print(f"docs: {SITE.relative_to(ROOT) / 'index.html'}", flush=True)
    return 0


def fetched_from_elsewhere() -> Iterator[str]:
    """What a browser would load from another place when it shows the pages."""
    for page in sorted((*SITE.rglob("*.html"), *SITE.rglob("*.css"), *SITE.rglob("*.svg"))):
        text = page.read_text(encoding="utf-8", errors="replace")
        for pattern in _LOADS:
            yield from (f"{page.relative_to(SITE)}: {found}" for found in pattern.findall(text))


def serve(port: int) -> None:
    """Until Ctrl-C."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"docs: http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    sys.exit(main())
