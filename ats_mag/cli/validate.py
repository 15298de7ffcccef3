"""Checking before anything long starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ats_mag.cli.console import console, errors, show_error

_WIDE = 200  # characters of a line where the output is no terminal, so that names and reasons stay whole
_SHOWN = 20


def validate(
    config: Annotated[Path, typer.Argument(help="The configuration, see `ats-mag init`.")],
    report: Annotated[
        Path | None, typer.Option(help="JSON file for the findings; default: validation.json in the run's folder.")
    ] = None,
) -> None:
    """Checks configuration, manifest, division, slides and model; the exit status is 1 where anything would stop the run."""
    from rich.progress import Progress

    from ats_mag.config.reading import read_config
    from ats_mag.runs.layout import RunLayout
    from ats_mag.system.atomic_files import check_place, write_whole
    from ats_mag.system.json_text import json_bytes
    from ats_mag.training.validate import validate as check

    settings = read_config(config)
    file = RunLayout.of(settings).validation if report is None else report
    check_place(file)
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("Looking at slides", total=None)
        found = check(settings, lambda done, total: bar.update(task, completed=done, total=total))
    out = console if console.is_terminal else Console(width=_WIDE, emoji=False)
    if found["slides"]:
        out.print(_slides_table(found["slides"]))
    if found["labels"]:
        out.print(_labels_table(found["labels"]))
    for line in _sentences(found):
        out.print(line, highlight=False, soft_wrap=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json_bytes(found))  # after what was found has been said: the disk may be full
    out.print(f"wrote {escape(str(file))}", highlight=False, soft_wrap=True)
    for text in found["stops"]:
        show_error(text, "stops the run")
    if found["stops"]:
        raise typer.Exit(1)
    out.print("[green]nothing stops the run", highlight=False)


def _slides_table(slides: list[dict[str, Any]]) -> Table:
    table = Table("slide", "um/px", "from", caption="per resolution: the level read, / its pixels averaged per pixel")
    for mpp in next((slide["levels"] for slide in slides if slide["levels"]), []):
        table.add_column(f"{mpp['mpp']:g} um/px")
    table.add_column("tissue", justify="right")
    table.add_column("look at")
    table.add_column("problems")
    table.columns[0].overflow = table.columns[2].overflow = "fold"
    resolutions = len(table.columns) - 6
    for slide in slides:
        levels = [_level_text(level) for level in slide["levels"]]
        table.add_row(
            escape(slide["slide_id"]),
            "" if slide["mpp"] is None else f"{slide['mpp']:.4g}",
            escape(slide["mpp_source"] or ""),
            *(levels or [""] * resolutions),
            "" if slide["tissue"] is None else f"{slide['tissue']:.0%}",
            ", ".join(f"[yellow]{flag}[/]" for flag in slide["flags"]),
            ", ".join(f"[red]{problem['kind']}[/]" for problem in slide["problems"] if problem["kind"] != "note"),
        )
    return table


def _level_text(level: dict[str, Any]) -> str:
    if level["how"] == "copy":
        return f"level {level['level']}"
    if level["how"] == "average":
        return f"level {level['level']} / {level['factor']:.3g}"
    return f"[yellow]level {level['level']}, enlarged {1 / level['factor']:.3g} x"


def _labels_table(rows: list[dict[str, Any]]) -> Table:
    """Slides and patients of every label, a line per part of a fold."""
    labels = list(dict.fromkeys(row["label"] for row in rows))
    table = Table("fold", "part", *(escape(label) for label in labels), caption="slides (patients)")
    cells: dict[tuple[int, str], dict[str, str]] = {}
    for row in rows:
        text = f"{row['slides']} ({row['patients']})"
        cells.setdefault((row["fold"], row["part"]), {})[row["label"]] = text if row["slides"] else f"[yellow]{text}[/]"
    for (fold, part), of_part in cells.items():
        table.add_row(str(fold), part, *(of_part[label] for label in labels))
    return table


def _sentences(found: dict[str, Any]) -> Iterator[str]:
    """What is not in the tables."""
    bad = [
        (slide["slide_id"], problem)
        for slide in found["slides"]
        for problem in slide["problems"]
        if problem["kind"] != "note"
    ]
    for slide_id, problem in bad:
        yield f"[red]{escape(slide_id)}, {problem['kind']}:[/] {escape(problem['text'])}"
    flagged = [(slide["slide_id"], text) for slide in found["slides"] for text in slide["flags"].values()]
    for slide_id, text in flagged[:_SHOWN]:
        yield f"[yellow]{escape(slide_id)}:[/] {escape(text)}"
    if len(flagged) > _SHOWN:
        yield f"[yellow]... and so on, {len(flagged)} in all:[/] see the report"
    number = len({slide_id for slide_id, _ in bad})
    yield f"{len(found['slides'])} slides of {found['patients']['number']} patients, {number} with problems"
    across = found["patients"]["across"]
    if across:
        listed = "; ".join(f"{row['patient_id']}: {row['parts']} of {row['fold']}" for row in across[:_SHOWN])
        yield f"[red]patients in several parts of a fold: {escape(listed)}{_more(across)}"
    else:
        yield "patients in several parts of a fold: none"
    for key, title in (
        ("not_in_table", "in the folder, not in the table"),
        ("not_in_folder", "in the table, not there"),
    ):
        names = found["folder"][key]
        if names:
            yield f"[yellow]{len(names)} slide(s) {title}: {escape(', '.join(names[:_SHOWN]))}{_more(names)}"
    if found["classes"]:
        yield f"classes, in the order of the outputs: {escape(', '.join(found['classes']))}"
    if found["positive"] is not None:
        yield f"positive class: [bold]{escape(found['positive'])}[/] (`data.positive` names another)"
    if found["left_out"]:
        listed = ", ".join(f"{count} of {label!r}" for label, count in found["left_out"].items())
        yield f"[yellow]slides left out by their label: {escape(listed)}"
    for text in found["warnings"]:
        yield f"[yellow]{escape(text)}"


def _more(names: Sequence[object]) -> str:
    return f" and {len(names) - _SHOWN} more, see the report" if len(names) > _SHOWN else ""
