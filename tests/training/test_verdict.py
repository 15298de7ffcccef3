"""What a training's history says of whether anything was learnt."""

import math

import pandas as pd
import pytest

from ats_mag.training.verdict import guessing, model_epoch, verdict

GUESS = math.log(2)


def history(**last):
    first = {
        "epoch": 0,
        "cross_entropy": 0.69,
        "val_cross_entropy": 0.69,
        "attention_spread": 0.9,
        "mass_0.5": 0.5,
        "mass_2": 0.5,
    }
    return pd.DataFrame(
        [first, {**first, "epoch": 1, "cross_entropy": 0.3, "val_cross_entropy": 0.3, "attention_spread": 0.1, **last}]
    )


def test_nothing_is_amiss_with_a_training_that_learnt():
    assert verdict(history(), 1, GUESS) == []


@pytest.mark.parametrize(
    ("last", "says"),
    [
        ({"cross_entropy": 0.68}, "nothing was learnt"),
        ({"cross_entropy": 0.01, "val_cross_entropy": 0.9}, "known by heart"),
        ({"attention_spread": 0.93}, "the attention is nearly uniform (over 93 % of the cells)"),
        ({"mass_0.5": 0.01, "mass_2": 0.99}, "all attention is on one magnification, 2 um/px"),
    ],
)
def test_each_fault_is_named_alone(last, says):
    (text,) = verdict(history(**last), 1, GUESS)
    assert says in text


def test_the_row_of_the_model_is_judged():
    assert "nothing was learnt" in verdict(history(), 0, GUESS)[0]


def test_histories_of_earlier_releases_are_judged_by_what_they_hold():
    former = history(attention_spread=0.99).drop(columns=["attention_spread"])
    assert verdict(former, 1, GUESS) == []
    assert verdict(former[["epoch"]], 1, GUESS) == []


def test_one_magnification_is_no_collapse():
    assert verdict(history(**{"mass_2": 1.0}).drop(columns=["mass_0.5"]), 1, GUESS) == []


def test_guessing_is_the_entropy_of_the_labels():
    labels = pd.Series(["a"] * 3 + ["b"])
    assert guessing(labels) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_the_epoch_of_the_weights():
    found = pd.DataFrame({"val_loss": [0.5, 0.2, 0.4], "val_accuracy": [0.5, 0.6, 0.9]})
    assert [model_epoch(found, monitor) for monitor in (None, "val_loss", "val_accuracy")] == [2, 1, 2]
