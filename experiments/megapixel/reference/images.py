"""Reads what `data_prep.megapixel_mnist` writes, in this environment and in that of attention-sampling 0.2."""

import numpy as np


class Images:
    """The images of one file, or the first `most` of them."""

    def __init__(self, path, most=None):
        with np.load(path) as data:
            self._data = {name: data[name] for name in data.files}
        self.label, self.digits = self._data["label"][:most], self._data["digits"][:most]
        self.side, self.low_side = int(self._data["side"]), int(self._data["low_side"])

    def __len__(self):
        return len(self.label)

    def batch(self, numbers):
        """`[low (B, h, h, 1), high (B, H, H, 1)]` in 0..1, and one-hot labels `(B, 10)`, float32."""
        low, high = (self._dense(name, side, numbers) for name, side in (("low", self.low_side), ("high", self.side)))
        return [low, high], np.eye(10, dtype=np.float32)[self.label[numbers]]

    def _dense(self, name, side, numbers):
        images = np.zeros((len(numbers), side * side), np.float32)
        for image, number in zip(images, numbers):  # noqa: B905, there is no `strict` before Python 3.10
            first, end = self._data[name + "_begin"][number : number + 2]
            image[self._data[name + "_index"][first:end]] = self._data[name + "_value"][first:end] / np.float32(255)
        return images.reshape(len(numbers), side, side, 1)

    def on_digits(self, attention, numbers):
        """Mean share of the attention `(B, h, h)` in cells whose centres lie on a digit."""
        centre = (np.arange(self.low_side) + 0.5) * self.side / self.low_side
        shares = []
        for map_, number in zip(attention, numbers):  # noqa: B905
            on = np.zeros(map_.shape, bool)
            for corner in self.digits[number]:
                inside = [(centre >= c) & (centre < c + 28) for c in corner]
                on |= inside[0][:, None] & inside[1]
            shares.append(map_[on].sum())
        return float(np.mean(shares))
