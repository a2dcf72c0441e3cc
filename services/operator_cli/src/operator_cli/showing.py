"""What commands print: tables for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200
MINUTE, HOUR, DAY = 60, 3600, 86400

errors = Console(stderr=True)


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")]


def say(text: str) -> None:
    _console().print(plain(text), soft_wrap=True)


def show_json(value: Any) -> None:
    typer.echo(TypeAdapter(Any).dump_json(value, indent=2).decode())


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A cell is text as it came from whoever wrote it, so nothing in it is obeyed by the terminal or by Rich."""
    table = Table(title=plain(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # What is copied into the next command stays in one piece.
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    if table.row_count:
        _console().print(table)
    else:
        say(empty)


def show_fields(fields: Iterable[tuple[str, object]]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name, style="bold"), plain(value))
    _console().print(table)


def _console() -> Console:
    """Wide where nobody looks at it, so that what is piped on is not broken up."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(width=width)


def plain(value: object, style: str = "") -> Text:
    """Text without anything that a terminal would take for a command."""
    text = "" if value is None else str(value)
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return Text(shown, style=style)


def ago(moment: datetime | None) -> str:
    """How long ago, or in how long, as roughly as a person says it."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{length(seconds)} ago" if seconds >= 0 else f"in {length(-seconds)}"


def length(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < DAY else f"{seconds / DAY:.1f} d"


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
