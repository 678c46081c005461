"""`check_record.py FOLDER`: what the commands ran on is what their rules depend on."""

import json
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from test_dependencies import ENTRANCES, IN_TURN, command_named  # noqa: E402

from dfmvr.dependencies import NOT_FOLLOWED, PACKAGE, files_reached, imported_by  # noqa: E402

# The configuration, with what it is made from, reaches the commands by value.
BY_VALUE = [*(PACKAGE.parent / NOT_FOLLOWED.replace(".", "/")).glob("*.py")]
BY_VALUE += files_reached(*(name for file in BY_VALUE for name in imported_by(f"{NOT_FOLLOWED}.{file.stem}")))


def unknown(arguments: list[str], files: list[str]) -> list[str]:
    """The files that a command ran on although its rule does not depend on them."""
    command = command_named(arguments)
    options = dict(pairwise(arguments))
    about = options.get("--dataset") or options.get("--format") or "anny"
    in_turn = IN_TURN.get(command.name, lambda _: [])(about)
    known = {*BY_VALUE, *files_reached(*ENTRANCES, command.module, *in_turn)}
    return sorted(str(path) for path in map(Path, files) if path not in known and path.suffix != ".pyc")


records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(sys.argv[1]).iterdir())]
wrong = {" ".join(record["arguments"][:2]): found for record in records if (found := unknown(**record))}
sys.exit(f"not known to the rules: {json.dumps(wrong, indent=2)}" if wrong or not records else 0)
