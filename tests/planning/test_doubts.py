"""What a plan warns of: said where it is so, and nowhere else."""

from dataclasses import replace

import numpy as np
import pandas as pd
from planning.made_facts import cohort, manifest

from ats_mag.planning.doubts import doubts, told_by


def said(facts, text):
    return any(text in sentence for sentence in doubts(facts))


def with_slides(facts, **columns):
    changed = [replace(slide, **{k: v[i] for k, v in columns.items()}) for i, slide in enumerate(facts.slides)]
    return replace(facts, slides=tuple(changed))


def test_nothing_is_said_of_a_sound_cohort():
    rng = np.random.default_rng(0)
    facts = with_slides(cohort(60), mpp=list(rng.choice([0.25, 0.5], 60)), vendor=list(rng.choice(["x", "y"], 60)))
    sites = replace(facts, manifest=manifest(["a", "b"] * 30, sites=list("ssttuu" * 10)))
    assert doubts(sites) == []


def test_few_patients_and_rare_classes():
    assert said(cohort(12), "there are 12 patients only")
    assert not said(cohort(40), "patients only")
    rare = cohort(40, labels=["a"] * 36 + ["b"] * 4)
    assert said(rare, "the class 'b' has 4 patient(s), fewer than 5")
    assert not said(rare, "the class 'a'")


def test_one_class_per_site():
    facts = cohort(40, manifest=manifest(["a", "b"] * 20, sites=["north", "south"] * 20))
    assert said(facts, "every one of the 2 sites has slides of one class only")
    mostly = ["north", "south"] * 19 + ["south", "north"]
    assert said(replace(facts, manifest=manifest(["a", "b"] * 20, sites=mostly)), "the label follows the site")


def test_a_label_that_follows_the_scanner():
    facts = cohort(40)
    for what, of, values in (
        ("resolution", "mpp", [0.25, 0.5]),
        ("vendor", "vendor", ["aperio", "hamamatsu"]),
        ("file format", "suffix", [".svs", ".ndpi"]),
        ("levels", "downsamples", [(1.0,), (1.0, 4.0)]),
    ):
        follows = with_slides(facts, **{of: values * 20})
        assert said(follows, f"the label follows the {what}")
        assert not said(with_slides(facts, **{of: [values[0]] * 20 + [values[1]] * 20}), "the label follows")


def test_slides_beside_the_rest():
    facts = cohort(40)
    sizes = [(600, 400), *[slide.size for slide in facts.slides[1:]]]
    assert said(with_slides(facts, size=sizes), "less than a quarter as wide as the median (s0)")
    assert said(with_slides(facts, mpp=[2.0] + [0.25] * 39), "slide 's0' is at 2 um/px, others at 0.25")


def test_chance_is_no_rule():
    labels = pd.Series(list("abababab"))
    assert told_by(pd.Series(list("xyzwvutr")), labels) == ""  # a value of each slide's own tells anything
    assert told_by(pd.Series(list("xyxyxyxx")), labels) == ""  # but one, and so few
    assert told_by(pd.Series(list("xyxyxyxy")), labels) == "x: 4 a; y: 4 b"
    rng = np.random.default_rng(1)
    draws = [told_by(pd.Series(rng.choice(list("xyz"), 60)), pd.Series(rng.choice(list("ab"), 60))) for _ in range(100)]
    assert not any(draws)
