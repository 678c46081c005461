"""config/README.md and the JSON schema, made from the sections."""

from __future__ import annotations

import json
from pathlib import Path

from dfmvr.config.configuration import Config
from dfmvr.config.section import Section


def schema() -> str:
    """JSON schema of the configuration, for editors and validators."""
    return json.dumps(Config.model_json_schema(by_alias=True), indent=2) + "\n"


def markdown() -> str:
    """Text of config/README.md: every key with its default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Made from `dfmvr/config/` by `make docs`; do not edit. `config.yaml` is the embedded default and names only",
        "what differs from the defaults below; `ci.yaml` is a tiny run of everything. Another file is given with",
        "`snakemake --configfile FILE` or `dfmvr STAGE --config FILE`; one key with",
        "`dfmvr STAGE --set section.key=value`. A change of a section reruns its stage and what depends on it.",
        "A mistyped key is an error that names the nearest.",
    ]
    for name, field in Config.model_fields.items():
        title = field.alias or name
        is_section = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        lines += ["", f"## {title}", "", (field.annotation.__doc__ if is_section else field.description) or "", ""]
        lines += ["| key | default | meaning |", "| --- | --- | --- |"]
        for key, leaf in Config.leaves():
            if key.split(".")[0] == title:
                default = json.dumps(leaf.get_default(call_default_factory=True), default=str)
                lines.append(f"| `{key}` | `{default}` | {leaf.description} |")
    return "\n".join(lines) + "\n"


def write_docs(root: Path, check: bool = False) -> list[Path]:
    """Write config/README.md and the JSON schema below `root`, or only say which of them are out of date."""
    files = {root / "config/README.md": markdown(), root / "workflow/schemas/config.schema.json": schema()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale if not check else []:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return stale
