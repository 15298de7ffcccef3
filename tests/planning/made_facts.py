"""Facts of cohorts that no file stands behind."""

from dataclasses import replace

import pandas as pd
from hypothesis import strategies as st

from ats_mag.planning.division import choose_division, choose_labels
from ats_mag.planning.draft import Draft
from ats_mag.planning.facts import EncoderFacts, Facts, Machine, SlideFacts, TissueFacts
from ats_mag.planning.scales import cells_of, choose_scales, lattice_of
from ats_mag.planning.training import choose_draws, choose_masks, choose_training

LITE0 = EncoderFacts("efficientnet-lite0")
MACHINE = Machine(16 * 10**9, 10**11, 4)
LEVELS = [(1.0,), (1.0, 4.0, 16.0), (1.0, 2.0, 4.0, 8.0), (1.0, 4.001, 32.0)]


def manifest(labels, patients=None, sites=None):
    """A manifest of `s0`, `s1`..."""
    names = [f"s{i}" for i in range(len(labels))]
    return pd.DataFrame(
        {
            "slide_id": names,
            "patient_id": patients or [f"p{i}" for i in range(len(labels))],
            "path": names,
            "label": labels,
            "mpp": float("nan"),
            "split": "",
            "site": sites or "",
        }
    )


def cohort(count=12, size=(3000, 2000), mpp=0.5, labels=None, **changes):
    """Facts of slides of one kind."""
    slides = tuple(SlideFacts(f"s{i}", mpp, size, (1.0, 4.0, 16.0), ".svs", "aperio") for i in range(count))
    labels = labels or ["a", "b"] * (count // 2) + ["a"] * (count % 2)
    return replace(Facts(manifest(labels), slides, MACHINE, LITE0), **changes)


def with_tissue(draft, facts, share=0.5):
    """The facts after a look at the overviews of the planned lattice."""
    lattice = lattice_of(draft)
    cells = {slide.slide_id: cells_of(slide, lattice) for slide in facts.slides}
    tissue = {name: TissueFacts(share, number, max(1, round(share * number))) for name, number in cells.items()}
    return replace(facts, tissue=tissue)


def planned(facts, share=0.5, **given):
    """The draft of a whole plan, the facts with their tissue, and the division."""
    draft = Draft({key.replace("__", "."): value for key, value in given.items()})
    choose_scales(draft, facts)
    facts = with_tissue(draft, facts, share)
    choose_labels(draft, facts)
    splits = choose_division(draft, facts)
    choose_draws(draft, facts)
    choose_masks(draft, facts)
    choose_training(draft, facts, splits)
    return draft, facts, splits


@st.composite
def any_facts(draw):
    """Cohorts from fields to giant slides, on small and large machines."""
    count = draw(st.integers(2, 16))
    side = draw(st.sampled_from([300, 900, 2500, 20_000, 75_000]))  # um; a glass slide is 75 mm long
    slides = []
    for i in range(count):
        mpp = draw(st.sampled_from([0.121, 0.25, 0.2527, 0.499, 1.0, 2.2]))
        size = [max(16, int(draw(st.integers(side // 2, side)) / mpp)) for _ in range(2)]
        slides.append(SlideFacts(f"s{i}", mpp, (size[0], size[1]), draw(st.sampled_from(LEVELS))))
    gpu = draw(st.booleans())
    machine = Machine(
        draw(st.integers(2, 500)) * 10**9,
        draw(st.integers(1, 10_000)) * 10**9,
        draw(st.integers(1, 64)),
        ("GPU:0",) if gpu else (),
        draw(st.integers(4, 140)) * 10**9 if gpu else None,
    )
    encoder = draw(
        st.sampled_from(
            [
                LITE0,
                EncoderFacts("small", False, False, 64, 64),
                EncoderFacts("uni", any_size=False, mpp=(0.5,), dimension=1024),
                EncoderFacts("kaiko", any_size=False, mpp=(0.25, 0.5, 1.0, 2.0), dimension=384),
            ]
        )
    )
    labels = ["a", "b", *draw(st.lists(st.sampled_from("aab"), min_size=count - 2, max_size=count - 2))]
    return Facts(manifest(labels), tuple(slides), machine, encoder)
