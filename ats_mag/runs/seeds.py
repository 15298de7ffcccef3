"""Runs that differ in nothing but what chance brings about."""

from __future__ import annotations

from ats_mag.config.schema import RunConfig


def with_seed(config: RunConfig, seed: int) -> RunConfig:
    """The configuration with another `train.seed`, in a folder of its own beside: of `run` and 1, `run-seed-1`.

    Slides, records and the division of the patients, which has a seed of its own, stay the same.
    """
    return config.model_copy(
        update={
            "run": config.run.with_name(f"{config.run.name}-seed-{seed}"),
            "prepare": config.prepare.model_copy(update={"records": config.records}),
            "train": config.train.model_copy(update={"seed": seed}),
        }
    )
