"""Trains and tests a contestant on Megapixel MNIST, the same way in every environment (Python 3.7 and newer)."""

import time

import numpy as np

TEST_BATCH = 64


def train(contestant, images, tests, epochs, batch, seed, tests_per_epoch=1):
    """Yields what was found at each test.

    Args:
        contestant: has `step(x, y)`, which trains and returns the loss, and `predict(x)` -> probabilities `(B, 10)` and
            attention `(B, h, h)`.
        images, tests: `images.Images`.
        epochs, batch: of training; an incomplete last batch is left out.
        seed: of the order.
        tests_per_epoch: how often to test, evenly spaced, the last time at the epoch's end.
    """
    steps = len(images) // batch
    tested = {steps * (k + 1) // tests_per_epoch for k in range(tests_per_epoch)}
    wall, processor, losses = 0.0, 0.0, []
    for epoch in range(epochs):
        order = np.random.RandomState(1000 * seed + epoch).permutation(len(images))
        for step in range(1, steps + 1):
            x, y = images.batch(np.sort(order[(step - 1) * batch : step * batch]))
            begun = time.perf_counter(), time.process_time()
            losses.append(float(contestant.step(x, y)))
            wall += time.perf_counter() - begun[0]
            processor += time.process_time() - begun[1]
            if step in tested:
                found = {"epoch": epoch + step / steps, "seconds": wall, "processor_seconds": processor}
                found.update(loss=float(np.mean(losses)), **_test(contestant, tests))
                losses = []
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
