"""Trains and tests a contestant on Megapixel MNIST, the same way in every environment (Python 3.7 and newer)."""

import time

import numpy as np

TEST_BATCH = 64


def train(contestant, images, tests, epochs, batch, seed):
    """Yields what each epoch came to.

    Args:
        contestant: has `step(x, y)`, which trains and returns the loss, and `predict(x)` -> probabilities `(B, 10)` and
            attention `(B, h, h)`.
        images, tests: `megapixel_images.Images`.
        epochs, batch: of training; an incomplete last batch is left out.
        seed: of the order.
    """
    for epoch in range(epochs):
        order = np.random.RandomState(1000 * seed + epoch).permutation(len(images))
        losses, seconds = [], 0.0
        for first in range(0, len(order) - batch + 1, batch):
            x, y = images.batch(np.sort(order[first : first + batch]))
            begun = time.perf_counter()
            losses.append(float(contestant.step(x, y)))
            seconds += time.perf_counter() - begun
        found = {"epoch": epoch + 1, "seconds": seconds, "loss": float(np.mean(losses))}
        found.update(_test(contestant, tests))
        yield found


def _test(contestant, tests):
    """Error and cross-entropy, and the share of the attention that lies on digits."""
    wrong, surprise, on_digits = [], [], []
    for first in range(0, len(tests), TEST_BATCH):
        numbers = np.arange(first, min(first + TEST_BATCH, len(tests)))
        x, y = tests.batch(numbers)
        probabilities, attention = contestant.predict(x)
        wrong.extend(probabilities.argmax(axis=1) != y.argmax(axis=1))
        surprise.extend(-np.log(np.maximum((probabilities * y).sum(axis=1), 1e-7)))
        on_digits.extend([tests.on_digits(attention, numbers)] * len(numbers))
    return {
        "test_error": float(np.mean(wrong)),
        "test_cross_entropy": float(np.mean(surprise)),
        "attention_on_digits": float(np.mean(on_digits)),
    }
