"""Which encoders there are, and which are at hand."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from ats_mag.cli.console import console, say


def encoders() -> None:
    """Lists the encoders, which of them are at hand, and how to get the others."""
    from ats_mag.model.encoders.listing import listing
    from ats_mag.model.encoders.presets import DEFAULT_FOLDER, VARIABLE, search_folders

    entries = listing()
    table = Table(box=None, pad_edge=False)
    for heading in ("encoder", "at hand", "features", "made for", "licence"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        colour = "green" if entry.at_hand else "yellow"
        at_hand = f"[{colour}]{escape(entry.where)}"
        table.add_row(
            escape(entry.name), at_hand, escape(entry.features), escape(entry.made_for), escape(entry.licence)
        )
    console.print(table, highlight=False)
    say(f"\nfolders are looked for in (set {VARIABLE} to add some before {DEFAULT_FOLDER}):")
    for folder in search_folders():
        there = "" if folder.is_dir() else " (not there)"
        say(f"  {folder}{there}")
    say("\nput config.json and the weights of one into a folder of its name there; they are to be had from:")
    for entry in entries:
        if entry.source:
            say(f"  {entry.name}: {entry.source}")
