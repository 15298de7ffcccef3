import itertools
import warnings

import pandas as pd
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ats_mag.cohort.patient_division import SplitError, divide
from ats_mag.cohort.splits import check_fold, count_labels, fold_names, load_splits, part_of, splits_content
from ats_mag.config.schema import RunConfig, SplitConfig


def manifest(rows):
    """Rows of (patient, label) or (patient, label, site, split)."""
    rows = [(*row, "", "")[:4] for row in rows]
    table = pd.DataFrame(rows, columns=["patient_id", "label", "site", "split"], dtype=object)
    table.insert(0, "slide_id", [f"s{i}" for i in range(len(rows))])
    return table


def cohort(patients, slides_each=2, labels="ab", sites=0):
    return manifest(
        [
            (f"p{i}", labels[i % len(labels)], f"site{i % sites}" if sites else "", "")
            for i in range(patients)
            for _ in range(slides_each)
        ]
    )


cohorts = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "a;c"]), st.integers(1, 3), st.integers(0, 5)), min_size=12, max_size=60
).map(
    lambda patients: manifest(
        [(f"p{i}", label, f"site{site}", "") for i, (label, slides, site) in enumerate(patients) for _ in range(slides)]
    )
)
kinds = st.builds(
    SplitConfig,
    kind=st.sampled_from(["holdout", "kfold"]),
    folds=st.integers(2, 3),
    test=st.floats(0.05, 0.6),
    validation=st.floats(0, 0.4),
    by_site=st.booleans(),
    seed=st.integers(0, 1000),
)


def stay_together(splits, unit, fold):
    return not splits[[unit, fold]].drop_duplicates()[unit].duplicated().any()


@settings(max_examples=examples(40), deadline=None)
@given(cohorts, kinds)
def test_every_division_is_a_partition_by_patient(table, how):
    if how.by_site or how.kind == "kfold":
        try:
            splits = divide(table, how)
        except SplitError:  # too few sites, or patients of a class
            return
    else:
        splits = divide(table, how)
    assert splits["slide_id"].tolist() == table["slide_id"].tolist()
    names = fold_names(splits)
    assert len(names) == (how.folds if how.kind == "kfold" else 1)
    for i, name in enumerate(names):
        assert splits[name].isin(["train", "validation", "test"]).all()
        assert stay_together(splits, "site" if how.by_site else "patient_id", name)
        parts = [part_of(splits, i, part) for part in ("train", "validation", "test")]
        assert sorted(itertools.chain(*parts)) == sorted(table["slide_id"])
        assert parts[0]
        assert parts[2]
        assert bool(parts[1]) == (how.validation > 0)
    if how.kind == "kfold":
        assert ((splits[names] == "test").sum(axis=1) == 1).all()
    pd.testing.assert_frame_equal(divide(table, how), splits)


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 3),
    st.floats(0.05, 0.9),
    st.integers(0, 1000),
)
def test_a_holdout_has_its_share_of_every_class_to_within_one_patient(sizes, share, seed):
    table = manifest([(f"{label}{i}", label) for label, size in zip("abcd", sizes, strict=False) for i in range(size)])
    splits = divide(table, SplitConfig(test=share, validation=0, seed=seed))
    total = sum(sizes)
    assert len(part_of(splits, 0, "test")) == min(max(1, round(share * total)), total - 1)
    part = len(part_of(splits, 0, "test")) / total
    for label, size in zip("abcd", sizes, strict=False):
        count = ((splits["fold_0"] == "test") & (splits["label"] == label)).sum()
        assert abs(count - part * size) <= 1


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(3, 20), min_size=1, max_size=4), st.integers(2, 3), st.integers(0, 1000))
def test_folds_have_their_share_of_every_class_to_within_one_patient(sizes, folds, seed):
    table = manifest([(f"{label}{i}", label) for label, size in zip("abcd", sizes, strict=False) for i in range(size)])
    splits = divide(table, SplitConfig(kind="kfold", folds=folds, validation=0, seed=seed))
    for name in fold_names(splits):
        for label, size in zip("abcd", sizes, strict=False):
            count = ((splits[name] == "test") & (splits["label"] == label)).sum()
            assert abs(count - size / folds) <= 1


def test_the_seed_decides():
    table = cohort(40)
    first, second = (divide(table, SplitConfig(seed=seed)) for seed in (0, 1))
    assert (first["fold_0"] != second["fold_0"]).any()


def test_a_patient_goes_by_the_rarest_label():
    """Of 20 patients, 4 have a slide of class "rare" beside common ones."""
    rows = [(f"p{i}", "common") for i in range(20)] + [(f"p{i}", "rare") for i in range(4)]
    splits = divide(manifest(rows), SplitConfig(kind="kfold", folds=4, validation=0))
    for name in fold_names(splits):
        assert ((splits[name] == "test") & (splits["label"] == "rare")).sum() == 1
    sets = [(f"p{i}", "common;rare" if i < 4 else "common") for i in range(20)]
    splits = divide(manifest(sets), SplitConfig(kind="kfold", folds=4, validation=0))
    for name in fold_names(splits):
        assert ((splits[name] == "test") & (splits["label"] == "common;rare")).sum() == 1


def test_sites_stay_together_near_the_share():
    splits = divide(cohort(60, sites=10), SplitConfig(test=0.2, validation=0.25, by_site=True))
    assert stay_together(splits, "site", "fold_0")
    assert splits.groupby("fold_0")["patient_id"].nunique().to_dict() == {"test": 12, "train": 36, "validation": 12}


def test_the_manifest_may_divide():
    rows = [("p0", "a", "", "Training"), ("p1", "b", "", "train"), ("p2", "a", "", "val"), ("p3", "b", "", "TEST")]
    splits = divide(manifest(rows), SplitConfig(kind="manifest"))
    assert splits["fold_0"].tolist() == ["train", "train", "validation", "test"]
    rows = [(f"p{i}", "ab"[i % 2], "", "test" if i < 4 else "train") for i in range(24)]
    splits = divide(manifest(rows), SplitConfig(kind="manifest", validation=0.2))
    assert (splits["fold_0"] == "test").tolist() == [i < 4 for i in range(24)]
    assert (splits["fold_0"] == "validation").sum() == 4
    with pytest.raises(SplitError, match="slide 's1' and 1 more have others, such as 'dev2'"):
        divide(manifest([("p", "a", "", "train"), ("q", "a", "", "dev2"), ("r", "a")]), SplitConfig(kind="manifest"))


@pytest.mark.parametrize(
    ("table", "how", "message"),
    [
        (cohort(1), {}, r"`splits.test` is 0.2, but there are only 1 patient"),
        (cohort(2), {}, r"`splits.validation` is 0.15, but there are only 1 patient"),
        (cohort(6), {"kind": "kfold", "folds": 5}, "at most 3 patients of a class"),
        (cohort(20), {"by_site": True}, "needs the site of every slide; 40 have none"),
        (cohort(20, sites=1), {"by_site": True}, r"only 1 site\(s\)"),
        (cohort(20, sites=3), {"by_site": True, "kind": "kfold"}, "there are 3 sites"),
        (manifest([("p", "a", "x"), ("p", "a", "y"), ("q", "b", "x")]), {"by_site": True}, "slides of several sites"),
    ],
)
def test_divisions_that_cannot_be(table, how, message):
    with pytest.raises(SplitError, match=message):
        divide(table, SplitConfig(**how))


def run(folder, **splits):
    return RunConfig(run=folder / "run", splits=SplitConfig(**splits))


def divided(config, table):
    """The division that is stored in the run's folder, or a new one."""
    return load_splits(config.run / "splits.csv", config.splits, table)


def stored(config, table):
    """The division, in the run's folder."""
    splits = divided(config, table)
    config.run.mkdir(parents=True, exist_ok=True)
    file = config.run / "splits.csv"
    file.write_bytes(splits_content(file, splits))
    return splits


def test_the_division_is_written_once_and_reused(tmp_path):
    table = cohort(20, sites=4)
    first = stored(run(tmp_path), table)
    file = tmp_path / "run" / "splits.csv"
    assert list(pd.read_csv(file)) == ["slide_id", "patient_id", "label", "site", "fold_0"]
    again = divided(run(tmp_path, seed=1), table.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(again, first)
    file.unlink()
    divided(run(tmp_path), table)
    assert not file.exists()


def test_a_stored_division_is_checked(tmp_path):
    table = cohort(20)
    config = run(tmp_path, kind="kfold", folds=2)
    stored(config, table)
    file = tmp_path / "run" / "splits.csv"
    text = file.read_text()

    def broken(change, message, changed_table=table, changed_config=config):
        splits = pd.read_csv(file, dtype=str)
        change(splits)
        splits.to_csv(file, index=False)
        with pytest.raises(SplitError, match=message):
            divided(changed_config, changed_table)
        file.write_text(text)

    def leak(splits):
        splits.loc[0, "fold_1"] = "validation" if splits["fold_1"][0] == "train" else "train"

    def nothing(splits):
        pass

    broken(leak, "1 patient.s. stand in several parts of a fold .'p0' in .* of fold_1.*Correct the file")
    broken(lambda s: s.__setitem__("fold_0", "dev"), "slide 's0' has 'dev' as fold_0")
    broken(nothing, r"too few, which the manifest names.*'s40', 's41'.*Remove the file", cohort(22))
    broken(nothing, r"4 slide\(s\) that the manifest does not name", cohort(18))
    broken(nothing, "another label than the manifest of 20 slide", cohort(20, labels="ac"))
    broken(nothing, "another patient_id", table.assign(patient_id="p"))
    broken(nothing, r"has 2 fold\(s\), the configuration asks for 3", table, run(tmp_path, kind="kfold", folds=3))
    broken(lambda s: s.pop("label"), r"lacks the column\(s\) label")
    file.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(SplitError, match="stands in several rows"):
        divided(config, table)


def test_a_manifest_that_decides_is_followed_when_it_is_edited(tmp_path):
    """Its parts, and with `by_site` its sites: the stored division would hide the edit."""
    parts = ["train", "test", "training", "val", "train", "train"]
    table = manifest([(f"p{i}", "ab"[i % 2], "", part) for i, part in enumerate(parts)])
    config = run(tmp_path, kind="manifest")
    stored(config, table)
    divided(config, table.assign(split=["training", "TEST", "train", "validation", "train", "train"]))
    with pytest.raises(SplitError, match=r"2 slide\(s\) in another part than .* `split` \('s0', 's1'\)\. Remove"):
        divided(config, table.assign(split=["test", "train", *parts[2:]]))
    (tmp_path / "run" / "splits.csv").unlink()
    drawn = table.assign(split=["train"] * 5 + ["test"])
    parts = stored(config, drawn)["fold_0"].tolist()
    assert "validation" in parts
    divided(config, drawn)
    other = ["val" if i == parts.index("train") else part for i, part in enumerate(drawn["split"])]
    with pytest.raises(SplitError, match="another part"):
        divided(config, drawn.assign(split=other))

    sites = cohort(20, sites=5)
    config = run(tmp_path / "sites", by_site=True)
    stored(config, sites)
    moved = sites.assign(site=sites["site"].where(sites["patient_id"] != "p3", "site4"))
    with pytest.raises(SplitError, match=r"another site than the manifest of 2 slide\(s\) \('s6', 's7'\)"):
        divided(config, moved)
    divided(run(tmp_path / "sites"), moved)


def test_folds_of_one_class_are_named_before_training():
    splits = cohort(8, 1)[["slide_id", "patient_id", "label"]]
    splits["fold_0"] = ["train", "train", "train", "train", "validation", "test", "validation", "test"]
    assert check_fold(splits, 0) == [
        "fold 0: the validation part has slides of one class only, 'a'",
        "fold 0: the test part has slides of one class only, 'b'",
    ]
    splits["fold_1"] = ["train", "test", "train", "test"] * 2
    with pytest.raises(SplitError, match=r"training part of fold 1 lacks the class.es. 'b'"):
        check_fold(splits, 1)
    counts = count_labels(splits)
    assert counts[counts["fold"] == 1].to_numpy().tolist() == [
        [1, "train", "a", 4, 4],
        [1, "train", "b", 0, 0],
        [1, "test", "a", 0, 0],
        [1, "test", "b", 4, 4],
    ]
    sets = splits.assign(label=["a;b", "a", "b", "a", "b", "a;b", "b", "a"])
    assert check_fold(sets, 0, multi_label=True) == [
        "fold 0: the validation part has slides of one class only, 'b'",
    ]
    with pytest.raises(ValueError, match="folds 0 to 1"):
        part_of(splits, 2, "train")
    with pytest.raises(ValueError, match="train, validation, test"):
        part_of(splits, 0, "dev")


def test_nothing_is_warned_of_rare_classes():
    rows = [(f"p{i}", "a") for i in range(20)] + [("q", "b")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = divide(manifest(rows), SplitConfig())
        divide(manifest(rows), SplitConfig(kind="kfold"))
    assert splits["fold_0"].iloc[-1] == "train"


def test_sites_that_the_manifest_tears_apart_are_told():
    rows = [("p0", "a", "x", "train"), ("p1", "b", "x", "train"), ("p2", "a", "y", "test"), ("p3", "b", "x", "test")]
    how = SplitConfig(kind="manifest", by_site=True, validation=0)
    with pytest.raises(SplitError, match=r"site 'x' and 0 more stand in several parts \(train, test\)"):
        divide(manifest(rows), how)
    assert (
        divide(manifest([*rows[:3], ("p3", "b", "y", "test")]), how)["fold_0"].tolist() == ["train"] * 2 + ["test"] * 2
    )


@pytest.mark.parametrize("kind", [{}, {"kind": "kfold", "folds": 2}])
def test_draws_of_neighbouring_seeds_share_no_numbers(kind):
    """The validation of one seed or fold must not be the test or validation of the next, patient for patient."""
    table = cohort(60)

    def drawn(seed, fold, part, **how):
        splits = divide(table, SplitConfig(**({"seed": seed, "test": 0.3, "validation": 0.3} | how)))
        return set(part_of(splits, fold, part))

    validation = drawn(3, 0, "validation", test=0.0) if not kind else drawn(3, 1, "validation", **kind)
    other = drawn(4, 0, "test") if not kind else drawn(4, 0, "validation", **kind)
    assert validation != other
