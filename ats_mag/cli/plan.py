"""Starting a study from its slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ats_mag.cli.console import errors, say, show_error


def plan(
    manifest: Annotated[Path, typer.Argument(help="CSV or XLSX, one row per slide.")],
    slides: Annotated[Path, typer.Option(help="Folder that the paths of the manifest are relative to.")],
    out: Annotated[Path, typer.Option(help="Configuration to write.")] = Path("config.yaml"),
    given: Annotated[
        list[str] | None, typer.Option("--set", help="A key to keep, as model.patch_size=64; may be repeated.")
    ] = None,
    probe: Annotated[bool, typer.Option(help="Train a few steps to tell how long the run will take.")] = True,
) -> None:
    """Looks at manifest and slides, and writes a configuration that suits them, with the reason of every choice."""
    from rich.progress import Progress

    from ats_mag.planning.plan import plan as make_plan
    from ats_mag.system.atomic_files import check_place, write_whole

    if out.suffix.lower() not in (".yaml", ".yml"):
        raise ValueError(f"--out {str(out)!r} is no name for a configuration: end it in .yaml")
    if out.exists():
        raise FileExistsError(f"{str(out)!r} exists already: give another name by --out, or remove it first")
    check_place(out)
    known = dict(_key_and_value(text) for text in given or ())
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("Looking at slides", total=None)
        planned = make_plan(
            manifest,
            slides,
            probe=probe,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **known,
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, planned.text(out.parent).encode())
    for slide, why in planned.bad.items():
        show_error(f"{slide}: {why}", "planned without")
    for text in planned.warnings:
        errors.print(f"[bold yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)
    say(planned.about)
    for key in _TOLD:
        section, _, name = key.partition(".")
        value = getattr(getattr(planned.config, section), name)
        say(f"  {key}: {value}")
    for line in planned.estimate.lines():
        say(line)
    say(f"wrote {out}, with the reasons; next: ats-mag validate {out}")


_TOLD = (
    "splits.kind", "prepare.overview_mpp", "model.magnifications", "model.patch_size", "model.stride", "model.n_patches",
    "train.batch_size", "train.epochs",
)  # fmt: skip


def _key_and_value(text: str) -> tuple[str, object]:
    """`model.patch_size=64` as a key and its value."""
    import yaml

    from ats_mag.config.reading import ConfigError, read_value

    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes KEY=VALUE, as in model.patch_size=64. Received: {text!r}")
    try:
        return key.strip(), read_value(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text!r}: the value is no YAML: {' '.join(str(error).split())}") from error
