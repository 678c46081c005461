"""The directive `commands`: every command of dfmvr with its options, as argparse has them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dfmvr.cli import COMMANDS, WHOLE, Command, command_parser


def told(command: Command) -> Iterator[str]:
    """One command, as lines of Markdown."""
    parser = command_parser(command)
    yield f"## dfmvr {command.name}\n"
    yield f"{parser.description}\n"
    if command.section:
        place = "" if command.section == WHOLE else f"#{command.section}"
        what = "all" if command.section == WHOLE else f"section `{command.section}`"
        yield f"Configuration: [{what}](configuration.md{place}).\n"
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest not in ("help", "debug")]
        actions = [] if group.title == "settings" else actions
        if actions:
            yield f"**{(group.title or '').capitalize()}**\n"
        yield from (option(parser, action) for action in actions)
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n"


def option(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """An option or argument, as an entry of a list of definitions."""
    formatter = parser._get_formatter()
    said = formatter._expand_help(action) if action.help else ""
    needed = " (required)" if action.required and action.option_strings else ""
    return f"`{formatter._format_action_invocation(action)}`{needed}\n: {said or 'see above'}\n"


class Commands(SphinxDirective):
    """All commands, each a section."""

    def run(self) -> list[nodes.Node]:
        """Give the sections."""
        text = "\n".join(line for command in COMMANDS for line in told(command))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join in."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
