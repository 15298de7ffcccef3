"""What a cache of features was good for, among the metrics of every epoch."""

from __future__ import annotations

import keras

from ats_mag.model.feature_cache.cache import FeatureCache
from ats_mag.tensors import Logs


class CacheLog(keras.callbacks.Callback):
    """Adds to the logs of an epoch `cache_hits`, the share of its patches that were known, and `cache_saved`, the seconds saved.

    Args:
        cache: of the model.
    """

    def __init__(self, cache: FeatureCache) -> None:
        super().__init__()
        self.cache = cache
        self._before = cache.counts

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        found = self.cache.counts.since(self._before)
        self._before = self.cache.counts
        if logs is not None:
            logs |= {"cache_hits": found.rate, "cache_saved": found.seconds_saved}
