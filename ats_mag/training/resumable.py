"""A training that can be interrupted: where it stands, with everything that it needs to go on from there exactly."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd

from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
from ats_mag.model.encoders.weights_elsewhere import digests
from ats_mag.records.epoch_order import EpochOrder
from ats_mag.system.atomic_files import write_whole
from ats_mag.tensors import Logs
from ats_mag.training.bad_slides import BadSlides
from ats_mag.training.best_epoch import BestEpoch
from ats_mag.training.checkpoints import SECONDS, Checkpoint, Checkpoints
from ats_mag.training.metric_values import add_here, devices_here, parts_for, values_here
from ats_mag.training.settings import check_settings
from ats_mag.training.variable_keys import model_keys, optimizer_keys

if TYPE_CHECKING:
    from ats_mag.model.classifier import SlideClassifier
    from ats_mag.training.hosts.hosts import Hosts

_MODEL, _OPTIMIZER, _BEST, _METRICS = "model/", "optimizer/", "best/", "metrics/"
_OF_DEVICES = "devices/"  # before the name of a metric's array
_BY_POSITION = re.compile(r"(model|optimizer|best)-\d+")  # names of arrays that earlier releases wrote
_SHOWN = 3


class ResumableTraining(keras.callbacks.Callback):
    """Keeps the position of a training, writes checkpoints and the history, and says when training ends early.

    A checkpoint holds the model's variables (weights, seeds of the draws, steps, strengths), those of the optimiser
    (moments, accumulated gradients, loss scale) and of the metrics, the best epoch's weights, and the epoch and batch. Arrays
    are named by what they are, see `variable_keys`. The order of slides and their random changes follow from the seed and
    the position.

    Args:
        checkpoints: where they go.
        history: CSV of the logs of every epoch.
        order: of the slides.
        batches: of an epoch.
        minutes: after so many a checkpoint is written within an epoch.
        best: the metric that is followed; None: the last epoch counts.
        bad: unreadable slides; None: they raise.
        settings: of the run, kept with the checkpoint.
        hosts: that train together; the first one writes. None: this process alone.

    Attributes:
        epoch, batch: that come next.
        ended: whether the training is complete.
        best_weights: the model's weights of the best epoch by `model_keys`; empty before the first.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        history: Path,
        order: EpochOrder,
        batches: int,
        minutes: float,
        best: BestEpoch | None,
        bad: BadSlides | None,
        settings: dict[str, Any],
        hosts: Hosts | None = None,
    ) -> None:
        super().__init__()
        self._hosts, self._chief = hosts, hosts is None or hosts.chief
        self.checkpoints, self.history_file, self.order, self.batches = checkpoints, history, order, batches
        self.minutes, self.best, self.bad, self.settings = minutes, best, bad, settings
        self.epoch = self.batch = 0
        self.ended = False
        self.rows: list[dict[str, Any]] = []
        self.best_weights: dict[str, np.ndarray] = {}
        self._metrics: dict[str, np.ndarray] = {}
        self._first = 0
        self._seconds = 0.0  # that earlier commands trained
        self._begun = self._written = time.monotonic()

    def restore(self, model: SlideClassifier) -> bool:
        """Brings the model to where the latest whole checkpoint was taken; False: there is none.

        Raises:
            ValueError: the checkpoint was written under other settings, by an earlier release or of another model; or two
                variables of the model cannot be told apart. Nothing has been changed then.
        """
        found = self._latest()
        if found is None:
            _variables(model)  # those that cannot be told apart are refused before anything long starts
            return False
        state, arrays = found.state, found.arrays
        self._refuse_former(found)
        check_settings(state["settings"], self.settings, str(self.checkpoints.folder.parent))
        self._refuse_other_encoder(found, model)
        variables = _variables(model)
        metrics = {name: value for name, value in arrays.items() if name.startswith((_METRICS, _OF_DEVICES))}
        wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
        if state["best_weights"]:
            wanted |= {_BEST + key: tuple(variable.shape) for key, variable in _weights(model).items()}
        self._refuse_other_model(found, wanted, arrays.keys() - metrics.keys())
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.best_weights = {n.removeprefix(_BEST): value for n, value in arrays.items() if n.startswith(_BEST)}
        self._metrics = metrics
        self.epoch, self.batch, self.ended, self.rows = (state[k] for k in ("epoch", "batch", "ended", "rows"))
        self._seconds = state.get(SECONDS, 0.0)  # earlier releases did not count them
        if self.best is not None and state["best"] is not None:
            self.best.restore(state["best"])
        self._write_history()
        return True

    def _latest(self) -> Checkpoint | None:
        """The latest whole checkpoint: that which the first host finds, so that all go on from the same."""
        found = self.checkpoints.latest() if self._chief else None
        if self._hosts is None:
            return found
        name = self._hosts.of_chief("checkpoint", None if found is None else found.file.name)
        return found if name is None or found is not None else self.checkpoints.named(name)

    def take_best(self, model: SlideClassifier) -> None:
        """Gives the model its weights of the best epoch, where one was followed."""
        if self.best_weights:
            for key, variable in _weights(model).items():
                variable.assign(self.best_weights[key])

    def write(self) -> None:
        """Writes a checkpoint; hosts that train together must all do so."""
        counted = self._counted()
        if not self._chief:
            return
        variables = _variables(self.model)
        arrays = {name: np.asarray(keras.ops.convert_to_numpy(variable)) for name, variable in variables.items()}
        arrays |= counted
        arrays |= {_BEST + key: value for key, value in self.best_weights.items()}
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "ended": self.ended,
            "rows": self.rows,
            SECONDS: self._seconds + time.monotonic() - self._begun,
            "best": None if self.best is None else self.best.state(),
            "best_weights": len(self.best_weights),
            "settings": self.settings,
            "encoder": _files_of_encoder(self.model),
        }
        self.checkpoints.write(self.epoch, self.batch, state, arrays)
        self._written = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.order.epoch = epoch
        self._first = self.batch

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        if self._first and self._metrics:
            self._go_on_counting()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self._first and self._metrics:  # of metrics that Keras built in the first step
            self._go_on_counting()
        self._metrics = {}
        self.batch = self._first + batch + 1
        if self.bad is not None:
            self.bad.check()
        if self.batch < self.batches and self._all_write(time.monotonic() - self._written > 60 * self.minutes):
            self.write()
            self._written = time.monotonic()

    def _all_write(self, due: bool) -> bool:
        """Whether it is time for a checkpoint, by the clock of the first host."""
        return due if self._hosts is None else self._hosts.of_chief("batch", due)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.bad is not None:
            self.bad.check()
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self._hosts is not None:  # so that all decide alike
            values = self._hosts.of_chief("epoch", values)
        bad = [name for name in ("loss", "val_loss") if not np.isfinite(values.get(name, 0.0))]
        if bad:
            raise RuntimeError(
                f"the {bad[0]} is {values[bad[0]]} in epoch {epoch + 1}: lower train.learning_rate, or set train.clip_norm, and "
                "train in another run folder"
            )
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append({"epoch": epoch, **values, "learning_rate": rate})
        if self.best is not None and self.model.explored:  # before, the attention has learnt nothing
            if self.best.better(epoch, values):
                # Copies: what is read may be the variable's own memory.
                found = _weights(self.model).items()
                self.best_weights = {key: np.array(keras.ops.convert_to_numpy(value)) for key, value in found}
            self.ended = self.best.ended
        self.epoch, self.batch = epoch + 1, 0
        self.ended = self.ended or self.epoch >= self.params["epochs"]
        self.model.stop_training = self.model.stop_training or self.ended
        if self._hosts is not None:  # a callback may have asked one of them to stop
            self.model.stop_training = any(self._hosts.gather("stop", self.model.stop_training))
        self._write_history()
        self.write()

    def _metric_variables(self) -> dict[str, keras.Variable]:
        """What the metrics count, by name."""
        return {f"{_METRICS}{m.name}/{v.path}": v for m in self.model.metrics for v in m.variables}

    def _counted(self) -> dict[str, np.ndarray]:
        """What the metrics have counted, and, where several devices count, what each of them has."""
        here = {name: values_here(variable) for name, variable in self._metric_variables().items()}
        if self._hosts is not None:
            everywhere = self._hosts.gather("metrics", [[v.tolist() for v in values] for values in here.values()])
            for name, *hosts in zip(here, *everywhere, strict=True):
                here[name] = [np.array(value, here[name][0].dtype) for host in hosts for value in host]
        found = {name: np.sum(values, axis=0, dtype=values[0].dtype) for name, values in here.items()}
        return found | {_OF_DEVICES + name: np.stack(values) for name, values in here.items() if len(values) > 1}

    def _go_on_counting(self) -> None:
        """Has the metrics of a resumed epoch go on from what they had counted; they are sums."""
        own = devices_here(self.model)
        devices, first = (own, 0) if self._hosts is None else (own * len(self._hosts), own * self._hosts.places.number)
        for name, variable in self._metric_variables().items():
            if name in self._metrics:
                counted = self._metrics.pop(name)[None]
                counted = self._metrics.pop(_OF_DEVICES + name, counted)
                add_here(variable, parts_for(counted, devices, first, own))

    def _write_history(self) -> None:
        if self.rows and self._chief:
            write_whole(self.history_file, pd.DataFrame(self.rows).to_csv(index=False).encode())

    def _refuse_former(self, found: Checkpoint) -> None:
        if any(_BY_POSITION.fullmatch(name) for name in found.arrays):
            raise ValueError(
                f"the checkpoint {str(found.file)!r} was written by an earlier release of ats-mag, and this one cannot go on "
                f"from it: finish the training with that release, or remove {str(self.checkpoints.folder.parent)!r} to train "
                "the fold anew"
            )

    def _refuse_other_encoder(self, found: Checkpoint, model: SlideClassifier) -> None:
        """Refuses to go on with other frozen weights than those that the checkpoint names instead of holding them."""
        before, now = found.state.get("encoder", {}), _files_of_encoder(model)
        if before != now:
            raise ValueError(
                f"the checkpoint {str(found.file)!r} was written with the encoder of other files ({_named(before)}; now "
                f"{_named(now)}): bring them back, or remove {str(self.checkpoints.folder.parent)!r} to train the fold anew"
            )

    def _refuse_other_model(self, found: Checkpoint, wanted: dict[str, tuple[int, ...]], stored: set[str]) -> None:
        """Refuses a checkpoint whose arrays are not those that the model has, by name and shape."""
        shapes = {name: found.arrays[name].shape for name in stored & wanted.keys()}
        problems = [
            f"{what}: {_some(names)}"
            for what, names in (
                ("it lacks", sorted(wanted.keys() - stored)),
                ("the model has no", sorted(stored - wanted.keys())),
                (
                    "of another shape are",
                    sorted(f"{n} {shape} for {wanted[n]}" for n, shape in shapes.items() if shape != wanted[n]),
                ),
            )
            if names
        ]
        if problems:
            raise ValueError(
                f"the checkpoint {str(found.file)!r} is of another model than the one to train ({'; '.join(problems)}): go on "
                f"with the release that wrote it, or remove {str(self.checkpoints.folder.parent)!r} to train the fold anew"
            )


def _model_keys(model: SlideClassifier) -> dict[str, keras.Variable]:
    keys = model_keys(model.variables, {"attention": model.attention, "feature": model.feature})
    apart = {id(variable) for variable in model.feature.variables_apart()} if _is_apart(model) else set()
    return {key: variable for key, variable in keys.items() if id(variable) not in apart}


def _is_apart(model: SlideClassifier) -> bool:
    return isinstance(model.feature, AdaptedEncoder) and model.feature.apart


def _files_of_encoder(model: SlideClassifier) -> dict[str, str]:
    """SHA-256 of the files that hold frozen weights in place of the checkpoints, by name; none where these hold them."""
    if not _is_apart(model):
        return {}
    return {Path(path).name: sha256 for path, sha256 in digests(model.feature.encoder).items()}


def _named(files: dict[str, str]) -> str:
    return ", ".join(f"{name} of SHA-256 {sha256[:12]}" for name, sha256 in files.items()) or "none"


def _variables(model: SlideClassifier) -> dict[str, keras.Variable]:
    """All that training changes in a model and its optimiser, by the names of a checkpoint's arrays."""
    of_model = _model_keys(model)
    of_optimizer = optimizer_keys(model.optimizer.variables, of_model)
    return {_MODEL + key: v for key, v in of_model.items()} | {_OPTIMIZER + key: v for key, v in of_optimizer.items()}


def _weights(model: SlideClassifier) -> dict[str, keras.Variable]:
    """The model's weights, without the seeds of its draws, by key."""
    weights = {id(weight) for weight in model.weights}
    return {key: variable for key, variable in _model_keys(model).items() if id(variable) in weights}


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
