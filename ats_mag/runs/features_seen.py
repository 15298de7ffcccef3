"""The cache of features of a run: in memory, and in a file that training and evaluation of all folds share."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ats_mag.system.lock import held_lock

if TYPE_CHECKING:
    from ats_mag.model.feature_cache.cache import FeatureCache
    from ats_mag.model.network import SlideNetwork
    from ats_mag.runs.run import Run
    from ats_mag.slides.copies.local_copies import LocalCopies


@contextlib.contextmanager
def cached_features(
    run: Run, model: SlideNetwork, copies: LocalCopies | None = None, on_disk: bool = True
) -> Iterator[FeatureCache | None]:
    """Has the model keep what its frozen encoder said of patches, as the run's configuration asks; None: it does not.

    Where another process uses the run's file, memory alone is used.

    Args:
        run: the run.
        model: of it.
        copies: local copies that slides are read from.
        on_disk: False: memory alone is used.

    Warns:
        UserWarning: the configuration asks for what the model's encoder cannot have.
    """
    from ats_mag.model.encoders.adapted_encoder import AdaptedEncoder
    from ats_mag.model.feature_cache.cache import FeatureCache

    settings = run.config.train
    memory, disk = (int(gb * 1e9) for gb in (settings.feature_cache_gb, settings.feature_cache_file_gb))
    if not memory and not disk:
        yield None
        return
    if not isinstance(model.feature, AdaptedEncoder) or not model.feature.frozen:
        warnings.warn(
            "train.feature_cache_gb has no effect: only what a frozen encoder (model.trainable: false) says can be kept",
            stacklevel=3,
        )
        yield None
        return
    names = {}
    for slide_id, path in zip(run.manifest["slide_id"], run.manifest["path"], strict=True):
        known = run.fingerprints.get(slide_id, {})
        if "sha256" in known:  # of the ends of a file alone, which white slides have in common
            names[os.path.join(run.config.data.slides, path)] = f"{slide_id}\0{known['size']}\0{known['sha256']}"
    with contextlib.ExitStack() as stack:
        file = (settings.feature_cache_file or run.layout.features) if disk and on_disk else None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(held_lock(file.with_name(f".{file.name}.lock"), "in use"))
            except RuntimeError:
                file = None
        cache = FeatureCache(model, memory, file, disk, names, copies.sources if copies else None)
        stack.callback(cache.close)
        model.feature_cache = cache
        try:
            yield cache
        finally:
            model.feature_cache = None
