"""Whose slides are whose, where several hosts share every batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Share(NamedTuple):
    """What one host has of every batch: the shares of its devices.

    Attributes:
        devices: of all hosts together.
        first: number of this host's first device among them.
        own: how many devices this host has.
    """

    devices: int
    first: int
    own: int

    def positions(self, begin: int, end: int, batch_size: int) -> Shared:
        """The positions of an epoch that come to this host.

        Every batch is divided as evenly as can be, in order. A device that has no slide of an epoch's last batch takes the
        batch's first one, which does not count: it would have nothing to compute on.

        Args:
            begin, end: of the epoch; `begin` is where a batch begins.
            batch_size: slides of a batch, of all devices together.
        """
        positions, groups, counts = [], [], []
        sizes: list[int] = []
        for start in range(begin, end, batch_size):
            slides = min(batch_size, end - start)
            for device in range(self.first, self.first + self.own):
                own = range(start + device * slides // self.devices, start + (device + 1) * slides // self.devices)
                taken = list(own) or [start]
                positions += taken
                groups += [len(sizes)] * len(taken)
                counts += [bool(own)] * len(taken)
                sizes.append(len(taken))
        return Shared(*(np.array(column, kind) for column, kind in zip(
            (positions, groups, counts, sizes), ("int64", "int64", "float32", "int64"), strict=True
        )))  # fmt: skip


class Shared(NamedTuple):
    """The slides of a host in the order in which its devices take them.

    Attributes:
        position: `(S,)` int64, in the epoch.
        group: `(S,)` int64, number of the device's batch.
        counted: `(S,)` float32, 0 for a slide that only fills a device.
        sizes: `(G,)` int64, slides of each device's batch.
    """

    position: np.ndarray
    group: np.ndarray
    counted: np.ndarray
    sizes: np.ndarray
