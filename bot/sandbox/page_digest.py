"""One digest over the sources of the sandbox's page.

The built page in `static/` is committed and shipped, so nothing rebuilds it by itself.
`static/SOURCES.sha256` records the sources it was built from; `--check` fails when they have changed since.
"""

import argparse
import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "page"
DIGEST_FILE = HERE / "static" / "SOURCES.sha256"
NOT_SOURCES = ("node_modules",)
OUTDATED = "The built page is older than its sources: run `npm ci && npm run build` in bot/sandbox/page.\n"


def sources(page: Path = PAGE) -> list[Path]:
    """Every file that the build reads, sorted by its path below `page` as POSIX text."""
    found = (path.relative_to(page) for path in page.rglob("*") if path.is_file())
    kept = (path for path in found if path.parts[0] not in NOT_SOURCES)
    return sorted(kept, key=lambda path: path.as_posix())


def digest(page: Path = PAGE) -> str:
    """SHA-256, in hex, over each source's path, length and bytes."""
    total = hashlib.sha256()
    for path in sources(page):
        content = (page / path).read_bytes()
        total.update(f"{path.as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Write the digest, or compare it; 1 when the built page is older than its sources."""
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox.page_digest", description=__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--write", action="store_true", help="record the sources as those of the built page")
    chosen.add_argument("--check", action="store_true", help="fail when the sources changed after the build")
    if parser.parse_args(arguments).write:
        DIGEST_FILE.write_text(digest() + "\n")
        return 0
    if DIGEST_FILE.read_text().strip() == digest():
        return 0
    sys.stderr.write(OUTDATED)
    return 1


if __name__ == "__main__":
    sys.exit(main())
