"""The rules of a plan, on facts of cohorts that were never scanned."""

import math
from dataclasses import replace

import pytest
from backends import examples
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from planning.made_facts import LITE0, MACHINE, any_facts, cohort, manifest, planned, with_tissue

from ats_mag.cohort.splits import check_fold, fold_names
from ats_mag.config.reading import ConfigError
from ats_mag.config.schema import RunConfig
from ats_mag.geometry.levels import choose_level
from ats_mag.planning.division import choose_division, count_classes
from ats_mag.planning.draft import GIVEN, Draft, given_keys
from ats_mag.planning.facts import EncoderFacts, Machine, SlideFacts
from ats_mag.planning.scales import FIELD_SIDE, OVERVIEW_PIXELS, cells_of, choose_scales, lattice_of, overview_pixels
from ats_mag.planning.training import DRAWS, bytes_of_slide, cells_seen, choose_draws


@settings(max_examples=examples(150), deadline=None)
@given(any_facts(), st.floats(0.02, 1.0))
def test_every_plan_is_sound(facts, share):
    draft, facts, splits = planned(facts, share)
    config = RunConfig.model_validate(draft.config().model_dump())
    model, lattice = config.model, lattice_of(draft)
    assert set(model.magnifications) == set(draft["model.magnifications"])
    assert list(model.magnifications) == sorted(set(model.magnifications))
    assert model.magnifications[-1] <= config.prepare.overview_mpp
    for slide in facts.slides:
        assert cells_of(slide, lattice) >= model.n_patches >= len(model.magnifications)
        for mpp in model.magnifications:  # they exist in all slides
            assert choose_level(slide.downsamples, mpp / slide.mpp).how != "interpolate"
    fit = [model.patch_size * model.magnifications[-1] <= slide.short for slide in facts.regular]
    assert sum(fit) >= 0.9 * len(fit) or model.patch_size == 16
    assert model.stride == 2 ** round(math.log2(model.stride))
    largest = max(overview_pixels(slide, config.prepare.overview_mpp) for slide in facts.slides)
    low, high = OVERVIEW_PIXELS
    width = max(max(slide.extent) for slide in facts.slides) / config.prepare.overview_mpp
    assert largest <= min(max(facts.machine.room / 16 / 200, low), high) + 4 * width  # whole pixels at two rims
    assert config.train.batch_size == 1 or (
        config.train.batch_size * bytes_of_slide(draft, facts) <= facts.machine.room / 2
    )
    assert config.train.feature_cache_gb <= 1.1 * facts.machine.memory / 4e9
    assert config.train.feature_cache_file_gb <= 1.1 * facts.machine.disk / 10e9
    assert config.train.augment.flips == (not facts.encoder.caches)
    assert splits is not None
    for fold in range(len(fold_names(splits))):
        check_fold(splits, fold)  # every class is learnt in each
    # What has no reason has its default.
    default = RunConfig().model_dump(mode="json")
    for section, values in config.model_dump(mode="json").items():
        for key, value in values.items() if isinstance(values, dict) else ():
            assert value == default[section][key] or any(k.startswith(f"{section}.{key}") for k in draft.reasons)


@settings(max_examples=examples(50), deadline=None)
@given(
    any_facts(),
    st.fixed_dictionaries(
        {},
        optional={
            "model.patch_size": st.sampled_from([32, 100, 224]),
            "model.magnifications": st.sampled_from([[0.5], [0.5, 4.0]]),
            "model.stride": st.sampled_from([1, 4, 32]),
            "prepare.overview_mpp": st.sampled_from([8.0, 16.0]),
            "train.epochs": st.integers(1, 500),
            "train.batch_size": st.integers(1, 64),
            "train.augment.flips": st.just(True),
            "splits.kind": st.just("holdout"),
        },
    ),
)
def test_what_is_given_stays_and_the_rest_follows_it(facts, known):
    try:
        draft, _, _ = planned(facts, **{key.replace(".", "__"): value for key, value in known.items()})
    except ValueError as error:
        if "too few to draw patches of" not in str(error):  # which slides may be under a coarse overview
            raise
        reject()
    config = draft.config().model_dump(mode="json")
    for key, value in known.items():
        found = config
        for part in key.split("."):
            found = found[part]
        assert found == value
        assert draft.reasons[key] == GIVEN
    stride, overview = draft["model.stride"], draft["prepare.overview_mpp"]
    assert stride == 2 ** round(math.log2(stride))
    if "model.stride" not in known and "prepare.overview_mpp" in known and stride > 1:
        assert stride * overview <= 1.5 * draft["model.patch_size"] * draft["model.magnifications"][0]


def test_whole_slides_and_fields_have_patches_of_their_own():
    whole, _, _ = planned(cohort(size=(40_000, 30_000), mpp=0.25))
    fields, _, _ = planned(cohort(size=(775, 522), mpp=0.62))
    assert (whole["model.patch_size"], fields["model.patch_size"]) == (224, 112)
    assert whole["model.magnifications"] == [0.25, 1.0, 4.0]
    assert fields["model.magnifications"] == [0.62, 1.24, 2.48]
    assert (whole["model.test_method"], fields["model.test_method"]) == (None, "exhaustive")
    assert (whole["model.n_patches"], whole["model.test_n_patches"], fields["model.test_n_patches"]) == (15, 45, None)
    assert (whole["prepare.empty_mask"], fields["prepare.empty_mask"]) == ("error", "whole")
    assert f"below {FIELD_SIDE} px" in fields.reasons["model.patch_size"]


def test_small_slides_have_smaller_patches_rather_than_fewer_scales():
    small, _, _ = planned(cohort(size=(2400, 2200), mpp=0.5))
    assert (small["model.patch_size"], small["model.encoder_size"]) == (28, 64)
    assert small["model.magnifications"] == [0.5, 2.0, 8.0]
    larger, _, _ = planned(cohort(size=(4800, 4400), mpp=0.5))
    assert (larger["model.patch_size"], larger["model.encoder_size"]) == (56, 64)
    given, _, _ = planned(cohort(size=(2400, 2200), mpp=0.5), model__patch_size=224)
    assert given["model.magnifications"] == [0.5, 1.0, 2.0]


def test_one_small_field_does_not_decide_for_all():
    fields = cohort(40, size=(775, 522), mpp=0.62)
    one = replace(fields, slides=(replace(fields.slides[0], size=(574, 400)), *fields.slides[1:]))
    most = replace(fields, slides=tuple(replace(slide, size=(574, 400)) for slide in fields.slides))
    counts = [len(planned(facts)[0]["model.magnifications"]) for facts in (fields, one, most)]
    assert counts == [3, 3, 2]


def test_an_encoder_of_one_size_and_resolution_is_given_it():
    uni = EncoderFacts("uni", any_size=False, mpp=(0.5,))
    draft, _, _ = planned(cohort(size=(775, 522), mpp=0.25, encoder=uni))
    assert draft["model.magnifications"][0] == 0.5
    assert draft["model.patch_size"] < draft["model.encoder_size"] == 224


def test_a_magnification_that_only_a_wide_read_would_give_is_left_out():
    pyramid = cohort(size=(40_000, 30_000))
    flat = cohort(size=(40_000, 30_000), slides=tuple(SlideFacts(f"s{i}", 0.5, (40_000, 30_000)) for i in range(12)))
    assert planned(pyramid)[0]["model.magnifications"] == [0.5, 2.0, 8.0]
    assert planned(flat)[0]["model.magnifications"] == [0.5, 1.0, 2.0]


def test_less_memory_takes_a_coarser_overview_and_smaller_batches():
    small = planned(cohort(200, (100_000, 80_000), 0.25, machine=Machine(2 * 10**9, 10**11, 4)))[0]
    large = planned(cohort(200, (100_000, 80_000), 0.25, machine=Machine(256 * 10**9, 10**12, 4)))[0]
    assert small["prepare.overview_mpp"] > large["prepare.overview_mpp"]
    assert small["train.batch_size"] < large["train.batch_size"] == 8


def test_a_gpu_draws_more():
    on_gpu = Machine(64 * 10**9, 10**12, 16, ("GPU:0",), 40 * 10**9)
    cpu, gpu = (planned(cohort(size=(40_000, 30_000), machine=m))[0]["model.n_patches"] for m in (MACHINE, on_gpu))
    assert (cpu, gpu) == (15, 48)
    assert cpu <= DRAWS[False][1]
    assert gpu <= DRAWS[True][1]


def test_epochs_fall_with_the_slides_and_are_bounded():
    epochs = [planned(cohort(count))[0]["train.epochs"] for count in (4, 100, 300, 3000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == 40
    assert epochs[-1] == 16
    learnt = EncoderFacts("small", False, False, 64, 64)
    assert planned(cohort(300, encoder=learnt))[0]["train.epochs"] > 3 * epochs[2]


def test_a_slide_that_holds_no_patches_is_named():
    tiny = SlideFacts("tiny", 0.5, (16, 16))
    facts = cohort(slides=(*cohort().slides, tiny), manifest=manifest(["a", "b"] * 6 + ["b"]))
    draft = Draft({})
    choose_scales(draft, facts)
    with pytest.raises(ValueError, match=r"'tiny' have \d cell\(s\).*take them out of the manifest"):
        choose_draws(draft, with_tissue(draft, facts))


@pytest.mark.parametrize(
    ("labels", "kind", "folds"),
    [
        (["a", "b"] * 60, "holdout", 5),
        (["a", "b"] * 12, "kfold", 5),
        (["a"] * 20 + ["b"] * 3, "kfold", 3),
        (["a"] * 9 + ["b"], "holdout", 5),
        (["a", "b"], "holdout", 5),
    ],
)
def test_patients_decide_the_division(labels, kind, folds):
    draft = Draft({})
    assert choose_division(draft, cohort(len(labels), labels=labels)) is not None
    assert (draft["splits.kind"], draft["splits.folds"]) == (kind, folds)


def test_parts_of_the_manifest_are_taken():
    facts = cohort(40)
    facts.manifest["split"] = ["train"] * 30 + ["test"] * 10
    draft = Draft({})
    splits = choose_division(draft, facts)
    assert draft["splits.kind"] == "manifest"
    assert (splits["fold_0"] == "test").sum() == 10
    assert (splits["fold_0"] == "validation").sum() == 6


def test_rare_classes_count_more():
    balanced = planned(cohort(20))[0]
    rare = planned(cohort(20, labels=["a"] * 16 + ["b"] * 4))[0]
    assert (balanced["train.class_weights"], rare["train.class_weights"]) == ("none", "balanced")
    assert "a 16, b 4" in rare.reasons["train.class_weights"]
    given = planned(cohort(20, labels=["a"] * 16 + ["b"] * 4), train__sampling="balanced")[0]
    given.config()  # not both, which no configuration may have
    sets = planned(cohort(20, labels=["a;b"] * 15 + ["b"] * 5))[0]
    assert (sets["model.head"], sets["train.class_weights"]) == ("multi_label", "none")


def test_one_class_is_no_task():
    with pytest.raises(ValueError, match="two are needed"):
        planned(cohort(4, labels=["a"] * 4))


def test_bad_slides_are_skipped_and_said():
    facts = cohort(12, bad={"s0": "gone"}, damaged={f"s{i}": "cut off" for i in range(1, 4)})
    draft, _, _ = planned(facts)
    assert draft["prepare.on_bad_slide"] == draft["train.on_bad_slide"] == "skip"
    assert "s0" in draft.reasons["prepare.on_bad_slide"]
    assert draft["train.max_bad_slides"] == 10


def test_no_more_cells_are_seen_than_there_are():
    draft, facts, _ = planned(cohort(size=(40_000, 30_000)))
    seen = cells_seen(draft, facts)
    for slide, found in facts.tissue.items():
        drawn = draft["model.n_patches"] * draft["train.epochs"]
        assert 0.9 * min(drawn, found.tissue_cells) < seen[slide] <= min(drawn, found.tissue_cells)


def test_keys_are_given_as_sections_or_with_dots():
    known = {"model": {"patch_size": 64}, "model.stride": 4, "train.augment.flips": True}
    assert given_keys(known) == {"model.patch_size": 64, "model.stride": 4, "train.augment.flips": True}
    assert given_keys({"model.magnifications": ["20x"]}) == {"model.magnifications": [0.5]}
    with pytest.raises(ConfigError, match=r"unknown key 'model.patchsize': did you mean 'patch_size'"):
        given_keys({"model.patchsize": 64})
    with pytest.raises(ConfigError, match="given as a value, too"):
        given_keys({"model": 3, "model.stride": 4})


def test_classes_of_sets_are_counted_each():
    assert count_classes(manifest(["a;b", "b", "a"], ["p", "p", "q"])) == {"a": 2, "b": 2}
    assert count_classes(manifest(["a;b", "b", "a"], ["p", "p", "q"]), "patient_id") == {"a": 2, "b": 1}
    assert LITE0.caches


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"model__patch_size": 100_000}, "model.patch_size=100000 is too coarse"),
        ({"model__patch_size": 100_000, "model__stride": 2}, "model.patch_size=100000, model.stride=2 is too coarse"),
        ({"model__magnifications": [500.0]}, "model.magnifications=[500.0] is too coarse"),
    ],
)
def test_what_is_far_too_coarse_is_named_by_what_was_given(given, named):
    with pytest.raises(ConfigError) as refused:
        planned(cohort(), **given)
    assert named in str(refused.value)
    assert "measure 1000 um across" in str(refused.value)
    assert "overview_mpp" not in str(refused.value)
