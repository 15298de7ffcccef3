"""Beginning a training over several hosts: what must be the same on all of them, before anything is trained."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ats_mag.cohort.manifest import COLUMNS
from ats_mag.config.changes import is_free
from ats_mag.config.schema import DEFAULT_ENCODER
from ats_mag.model.encoders.lite0_file import lite0_file
from ats_mag.model.encoders.names import APPLICATION, LITE0, RANDOM, SMALL
from ats_mag.model.encoders.presets import find_folder, preset_named
from ats_mag.runs.run import Run
from ats_mag.system.atomic_files import digest
from ats_mag.system.versions import versions
from ats_mag.training.hosts.hosts import Hosts
from ats_mag.training.hosts.meeting import HostRefused
from ats_mag.training.hosts.places import Places

if TYPE_CHECKING:
    from ats_mag.config.schema import RunConfig

_KERAS = ("3.15",)  # whose loops were tried over several hosts
_READ = {".json", ".safetensors", ".bin"}  # of a folder
_SEEN = 60.0  # seconds until a file that one host wrote is there for another


def open_hosts(config: RunConfig, places: Places, tell: Callable[[str], None] | None = None, **more: Any) -> Hosts:
    """Meets the other processes, each of which must have the same configuration, versions and number of devices.

    Args:
        config: of the run.
        places: of the processes.
        tell: see `Hosts`.
        more: what else must be the same, as plain values.

    Raises:
        HostRefused, TimeoutError: see `meeting.meet`.
        RuntimeError: with a release of Keras that was not tried so.
    """
    import tensorflow as tf

    if ".".join(keras.__version__.split(".")[:2]) not in _KERAS:
        raise RuntimeError(
            f"training over several hosts replaces parts of Keras' loops, and was tried with Keras {', '.join(_KERAS)}. Received: "
            f"Keras {keras.__version__}: install one of those, or train on one machine"
        )
    about: dict[str, Any] = {f"version of {name}": value for name, value in versions().items()}
    about["number of GPUs"] = len(tf.config.list_physical_devices("GPU"))
    hosts = Hosts(places, about | _settings(config) | more, tell)
    _ = hosts.strategy  # before anything else uses a device
    return hosts


def open_run(hosts: Hosts, config: RunConfig) -> Run:
    """The run, opened by the first process, then by the others, which must find the same folder, slides and encoder.

    Raises:
        HostRefused: they do not.
        Exception: what `Run.open` raises.
    """
    run = Run.open(config) if hosts.chief else None
    hosts.of_chief("the run")
    if run is None:
        run = Run.begun(config)
    _check_folder(hosts, run.config.run)
    hosts.check("slides and encoder", _files(run))
    return run


def _settings(config: RunConfig) -> dict[str, Any]:
    """What results depend on, by key; paths may differ between hosts."""

    def flat(values: dict[str, Any], above: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            key = f"{above}{name}"
            if is_free(key):
                continue
            found |= flat(value, f"{key}.") if isinstance(value, dict) else {key: value}
        return found

    return flat(config.model_dump(mode="json", exclude={"data": {"slides", "manifest"}}), "")


def _check_folder(hosts: Hosts, folder: Path) -> None:
    """That all processes see the run's folder of the first."""
    mark = folder / f".seen-by-all-{uuid.uuid4().hex}"
    name = hosts.of_chief("mark", mark.name)
    try:
        if hosts.chief:
            mark.touch()
        hosts.of_chief("marked")
        seen, until = False, time.monotonic() + _SEEN
        while not seen:
            os.listdir(folder)  # has a network file system look again
            seen = (folder / name).exists()
            if not seen and time.monotonic() > until:
                break
            time.sleep(0 if seen else 0.5)
        blind = [k for k, found in enumerate(hosts.gather("seen", seen)) if not found]
    finally:
        if hosts.chief:
            mark.unlink(missing_ok=True)
    if blind:
        raise HostRefused(
            f"{', '.join(hosts.places.named(k) for k in blind)} does not see what {hosts.places.named(0)} writes into the run's folder "
            f"({str(folder)!r} there): name a folder on storage that all hosts share"
        )


def _files(run: Run) -> dict[str, str]:
    """What slides, manifest and encoder are, by name."""
    found = {}
    for slide_id, known in run.fingerprints.items():
        found[f"slide {slide_id}"] = known.get("error") or f"{known['size']} bytes, SHA-256 {known['sha256'][:12]}"
    table = run.manifest[list(COLUMNS)].drop(columns="path").to_csv(index=False)
    found["the manifest's SHA-256"] = hashlib.sha256(table.encode()).hexdigest()[:12]
    encoder = run.config.model.encoder or DEFAULT_ENCODER
    for file in _encoder_files(encoder):
        found[f"SHA-256 of {file.name} of the encoder {encoder}"] = digest(file)[:12]
    return found


def _encoder_files(encoder: str) -> list[Path]:
    """The files that an encoder's weights are read from; none where they are random, or where Keras has them."""
    if encoder == LITE0:
        return [lite0_file()]
    name, _, file = encoder.partition("@")
    if name == SMALL or name.startswith(APPLICATION):
        return [Path(file)] if file not in ("", RANDOM) else []
    folder: Path | None = Path(encoder).expanduser()
    preset = preset_named(encoder)
    if preset is not None and not Path(encoder).is_dir():
        folder = find_folder(preset)
    if folder is None or not folder.is_dir():
        return []  # the encoder says so itself when it is built
    return sorted(path for path in folder.iterdir() if path.suffix in _READ)
