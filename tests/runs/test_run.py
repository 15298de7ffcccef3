import hashlib
import json
import os
import threading

import pandas as pd
import pytest
import yaml
from made_cohort import write_slide

from ats_mag.cohort import fingerprints
from ats_mag.cohort.fingerprints import fingerprint
from ats_mag.cohort.manifest import ManifestError, load_manifest
from ats_mag.config.reading import read_config
from ats_mag.config.schema import RunConfig
from ats_mag.preparation.state import State, write_state
from ats_mag.runs.comparability import compare
from ats_mag.runs.layout import RunLayout
from ats_mag.runs.run import Run
from ats_mag.runs.run_file import RunError
from ats_mag.system.atomic_files import digest

YAML = """
data: {labels: {G1: low, G2: low, G3: high}}
model: {magnifications: [20x, 5x]}
train: {epochs: 3}
"""


@pytest.fixture
def study(tmp_path):
    """A configuration and files that only look like slides, as nothing here opens them."""
    (tmp_path / "slides").mkdir()
    rows = []
    for i in range(20):
        (tmp_path / "slides" / f"s{i}.svs").write_bytes(bytes([i]) * 200_000)
        rows.append((f"s{i}", f"p{i}", ("G1", "G2", "G3", "?")[i % 4], "0.5" if i == 3 else ""))
    pd.DataFrame(rows, columns=["slide_id", "case_id", "label", "mpp"]).to_csv(tmp_path / "manifest.csv", index=False)
    (tmp_path / "c.yaml").write_text(YAML)
    return tmp_path


def start(study, text=YAML):
    (study / "c.yaml").write_text(text)
    return Run.open(read_config(study / "c.yaml")).config


def about(config):
    """What the run keeps about itself."""
    return Run.stored(config).about


def problems(study):
    """What is not as the run was begun with; the division aside."""
    config = read_config(study / "c.yaml")
    return compare(config, load_manifest(config), digest(study / "run" / "splits.csv")).problems


def begin_training(study):
    (study / "run" / "fold-0").mkdir()
    assert not RunLayout(study / "run").is_trained
    (study / "run" / "fold-0" / "history.csv").write_text("epoch\n")
    assert RunLayout(study / "run").is_trained


def edit_manifest(study, edit):
    table = pd.read_csv(study / "manifest.csv", dtype=str, keep_default_na=False)
    edit(table).to_csv(study / "manifest.csv", index=False)


def test_what_is_stored(study, monkeypatch):
    monkeypatch.chdir(study)
    config = start(study)
    run = about(config)
    assert run["classes"] == ["low", "high"]
    assert run["label_mapping"] == {"G1": "low", "G2": "low", "G3": "high"}
    assert run["left_out"] == {"?": 5}
    assert run["seeds"] == {"splits": 0, "train": 0}
    assert {"ats_mag", "python", "tensorflow", "keras", "numpy", "openslide-bin"} <= set(run["versions"])
    assert len(run["slides"]) == 15
    assert run["slides"]["s0"]["size"] == 200_000
    assert run["slides"]["s0"]["mtime_ns"] == os.stat(study / "slides" / "s0.svs").st_mtime_ns
    assert len({found["sha256"] for found in run["slides"].values()}) == 15
    stored = pd.read_csv(study / "run" / "manifest.csv", dtype=str, keep_default_na=False)
    assert stored["path"].tolist()[:2] == ["s0.svs", "s1.svs"]
    assert {path.name for path in (study / "run").iterdir()} == {
        "config.yaml", "run.json", "manifest.csv", "splits.csv"
    }  # fmt: skip
    # The stored configuration is a configuration: it finds the slides from wherever it lies.
    again = RunConfig.model_validate(yaml.safe_load((study / "run" / "config.yaml").read_text()))
    assert again.data.slides == study / "slides"
    assert again.train == config.train


def test_a_second_start_changes_nothing(study):
    start(study)
    before = {path.name: path.stat().st_mtime_ns for path in (study / "run").iterdir()}
    begin_training(study)
    start(study)
    start(study, YAML.replace("20x", "0.5"))
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in (study / "run").iterdir()}.items()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 3", "epochs: 4", "train.epochs was 3 and is 4"),
        ("epochs: 3", "epochs: 3, augment: {stain: 0.1}", r"train.augment.stain was 0.0 and is 0.1"),
        ("[20x, 5x]", "[20x]", r"model.magnifications was \[0.5, 2.0\] and is \[0.5\]"),
        ("data: {", "data: {default_mpp: 0.5, ", "data.default_mpp was .* and is 0.5"),
        ("train:", "splits: {seed: 1}\ntrain:", "splits.seed was 0 and is 1"),
        ("G2: low", "G2: high", "the label of 5 slide"),
        ("G1: low, G2: low, G3: high", "G3: high, G1: low, G2: low", "the classes were low, high and are high, low"),
    ],
)
def test_changes_that_matter_are_refused_once_trained(study, old, new, message):
    start(study)
    begin_training(study)
    text = YAML.replace(old, new)
    if "label of" in message:  # the division is checked first, and names its labels itself
        (study / "c.yaml").write_text(text)
        assert message in problems(study)[0]
        return
    with pytest.raises(RunError, match=message + r"[^$]*use another `run` folder"):
        start(study, text)


def test_changes_that_do_not_matter_are_taken_over(study):
    start(study)
    begin_training(study)
    (study / "slides").rename(study / "moved")
    text = YAML.replace("data: {", "data: {slides: moved, ").replace(
        "epochs: 3", "epochs: 3, local_copies: near, checkpoint_minutes: 1, on_bad_slide: skip, watch: 0"
    )
    text += "prepare: {workers: 3, scheduler: 'tcp://a:1', records: elsewhere, minutes_per_slide: 9}\nevaluate: {draws: 4}\n"
    config = start(study, text)
    assert about(config)["config"]["evaluate"]["draws"] == 4
    assert len(about(config)["starts"]) == 2


def test_everything_may_change_before_training_but_the_division(study):
    start(study)
    start(study, YAML.replace("epochs: 3", "epochs: 9"))
    with pytest.raises(RunError, match=r"made with other settings \(splits.seed\): remove '.*splits.csv'"):
        start(study, YAML + "splits: {seed: 5}\n")
    (study / "run" / "splits.csv").unlink()
    config = start(study, YAML + "splits: {seed: 5}\n")
    assert about(config)["seeds"]["splits"] == 5
    assert about(config)["config"]["train"]["epochs"] == 3


@pytest.mark.parametrize("killed_at", ["manifest.csv", "config.yaml", "run.json", "splits.csv"])
def test_a_start_that_is_killed_leaves_no_division_of_other_settings(study, monkeypatch, killed_at):
    from ats_mag.runs import run, run_file

    write = run.write_whole

    def killed(file, content):
        if file.name == killed_at:
            raise KeyboardInterrupt
        write(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_whole", killed)
        patch.setattr(run_file, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            start(study)
    config = start(study, YAML + "splits: {test: 0.5, validation: 0}\n")
    splits = pd.read_csv(study / "run" / "splits.csv")
    assert (splits["fold_0"] == "test").sum() == 8
    assert about(config)["splits_made_with"]["test"] == 0.5
    assert about(config)["splits_sha256"] == hashlib.sha256((study / "run" / "splits.csv").read_bytes()).hexdigest()


def test_a_division_that_was_removed_comes_back(study):
    start(study)
    before = (study / "run" / "splits.csv").read_bytes()
    begin_training(study)
    (study / "run" / "splits.csv").unlink()
    start(study)
    assert (study / "run" / "splits.csv").read_bytes() == before


def test_slides_that_changed_are_named(study):
    start(study)
    begin_training(study)
    os.utime(study / "slides" / "s0.svs", ns=(1, 1))  # touched, or copied
    (study / "slides" / "s1.svs").unlink()  # left to who reads it
    start(study)
    write_slide(study / "slides" / "s2.svs", 0)
    with pytest.raises(RunError, match=r"the files of 1 slide\(s\) have changed: s2"):
        start(study)


def test_a_slide_that_broke_is_told_and_may_be_mended(study):
    """Whether it opens no more or is only shorter; but one that was trained on is not replaced by another."""
    skip = YAML.replace("epochs: 3", "epochs: 3, on_bad_slide: skip")
    slide = study / "slides" / "s0.svs"
    whole = write_slide(slide, 0).read_bytes() + bytes(1000)  # what follows the last page is not needed to open it
    slide.write_bytes(whole)
    start(study, skip)
    begin_training(study)
    for content in (whole[:1000], b"", whole[:-500]):
        slide.write_bytes(content)
        with pytest.warns(UserWarning, match=r"the files of 1 slide\(s\) have been damaged: s0"):
            start(study, skip)
    with pytest.raises(RunError, match="have changed: s0"):
        start(study)
    write_slide(slide, 1)
    with pytest.raises(RunError, match="have changed: s0"):
        start(study, skip)
    slide.write_bytes(whole)
    start(study, skip)


@pytest.mark.parametrize("told_by", ["bad_slides.csv", "state"])
def test_a_slide_that_was_never_read_may_become_whole(study, told_by):
    slide = study / "slides" / "s0.svs"
    slide.write_bytes(b"")
    config = start(study)
    begin_training(study)
    if told_by == "state":
        (config.records / "state").mkdir(parents=True)
        write_state(config.records, State("s0", status="failed", error="cannot open slide"))
    else:
        (study / "run" / "fold-0" / "bad_slides.csv").write_text("slide_id,path,error\ns0,s0.svs,why\n")
    write_slide(slide, 0)
    assert about(start(study))["slides"]["s0"]["size"] == slide.stat().st_size


def test_a_slide_that_was_prepared_before_it_failed_is_not_replaced(study):
    config = start(study)
    begin_training(study)
    (config.records / "state").mkdir(parents=True)
    write_state(config.records, State("s0", status="failed", error="why", source={"files": []}))
    write_slide(study / "slides" / "s0.svs", 0)
    with pytest.raises(RunError, match="have changed: s0"):
        start(study)


def test_files_that_never_answer_are_not_waited_for(study, monkeypatch):
    """A pipe is no slide, and a file system that hangs keeps its slides to itself."""
    config = start(study)
    before = about(config)["slides"]
    (study / "slides" / "s1.svs").unlink()
    os.mkfifo(study / "slides" / "s1.svs")
    assert "no ordinary file" in fingerprint(str(study / "slides" / "s1.svs"))["error"]
    look, end = fingerprints.fingerprint, threading.Event()

    def hang(path, known=None):
        if path.endswith("s0.svs"):
            end.wait()
        return look(path, known)

    monkeypatch.setattr(fingerprints, "fingerprint", hang)
    monkeypatch.setattr(fingerprints, "_PATIENCE", 0.5)
    start(study)
    assert about(config)["slides"] == before
    found = fingerprints.fingerprints(load_manifest(config), config.data.slides, {})
    assert found["s0"] == {"error": "no answer within 0.5 s"}
    assert found["s2"] == before["s2"]
    end.set()


def test_manifests_that_changed_are_named(study):
    start(study)
    begin_training(study)
    edit_manifest(study, lambda t: t.assign(mpp=t["mpp"].where(t["slide_id"] != "s4", "0.25")))
    with pytest.raises(RunError, match=r"the mpp of 1 slide\(s\) has changed: s4"):
        start(study)
    edit_manifest(study, lambda t: t[t["slide_id"] != "s0"])
    assert "1 slide(s) are no more in the manifest: s0" in problems(study)


def test_a_run_that_is_not_there_or_damaged(study):
    config = read_config(study / "c.yaml")
    with pytest.raises(RunError, match="ats-mag prepare"):
        about(config)
    config = start(study)
    (study / "run" / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        about(config)
    with pytest.raises(RunError, match="damaged"):
        start(study)


def test_a_run_of_an_earlier_release_goes_on(study):
    """It lacks keys that are new, and has one that is gone."""
    config = start(study)
    begin_training(study)
    file = study / "run" / "run.json"
    run = json.loads(file.read_text())
    del run["config"]["train"]["clip_norm"], run["config"]["train"]["augment"], run["config"]["evaluate"]
    run["config"]["train"]["gone"] = 1
    file.write_text(json.dumps(run))
    assert start(study) == config


def test_a_stored_run_needs_neither_its_slides_nor_its_manifest(study):
    config = start(study)
    opened = Run.open(config)
    (study / "manifest.csv").unlink()
    (study / "slides").rename(study / "gone")
    run = Run.stored(config)
    assert (run.classes, run.folds, run.fingerprints) == (opened.classes, opened.folds, opened.fingerprints)
    pd.testing.assert_frame_equal(run.manifest, opened.manifest[list(run.manifest)], check_dtype=False)
    pd.testing.assert_frame_equal(run.test_slides(0), opened.test_slides(0), check_dtype=False)
    run.layout.splits.unlink()
    assert Run.stored(config).folds == []


def test_a_run_that_was_not_divided_cannot_be_evaluated(study):
    config = read_config(study / "c.yaml")
    with pytest.raises(
        FileNotFoundError, match=r"splits\.csv' does not exist, nothing was trained: run `ats-mag train`"
    ):
        Run.open_divided(config)
    assert not (study / "run").exists()
    start(study)
    assert Run.open_divided(config).folds == [0]


PLAIN = YAML.replace("data: {labels: {G1: low, G2: low, G3: high}}", "data: {}")


def number_labels(table):
    """Of 20 slides, every fifth is of each of the classes."""
    return table.assign(label=[("10", "2", "b", "A", "a10")[i % 5] for i in range(len(table))])


def test_classes_are_in_the_order_in_which_people_sort(study):
    edit_manifest(study, number_labels)
    assert about(start(study, PLAIN))["classes"] == ["2", "10", "A", "a10", "b"]


def test_a_trained_run_keeps_the_order_of_its_classes(study):
    """As earlier releases sorted them; and what asks for another order is told."""
    edit_manifest(study, number_labels)
    start(study, PLAIN)
    begin_training(study)
    file = study / "run" / "run.json"
    former = ["10", "2", "A", "a10", "b"]
    file.write_text(json.dumps({**json.loads(file.read_text()), "classes": former}))
    assert about(start(study, PLAIN))["classes"] == former
    assert Run.open(read_config(study / "c.yaml")).classes == former
    (study / "c.yaml").write_text(PLAIN.replace("{}", "{labels: {2: 2, 10: 10, A: A, a10: a10, b: b}}"))
    assert problems(study) == ["the classes were 10, 2, A, a10, b and are 2, 10, A, a10, b"]


def test_an_untrained_run_takes_the_order_of_today(study):
    edit_manifest(study, number_labels)
    start(study, PLAIN)
    file = study / "run" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "classes": ["10", "2", "A", "a10", "b"]}))
    assert about(start(study, PLAIN))["classes"] == ["2", "10", "A", "a10", "b"]


def test_the_positive_class_can_be_set(study):
    def positive(text):
        start(study, text)
        return Run.open(read_config(study / "c.yaml")).positive

    assert positive(YAML) == "high"
    low = YAML.replace("data: {", "data: {positive: low, ")
    assert positive(low) == "low"
    assert about(read_config(study / "c.yaml"))["classes"] == ["high", "low"]
    begin_training(study)
    (study / "c.yaml").write_text(YAML)
    assert problems(study) == ["the classes were high, low and are low, high"]
    for name, message in (("lo", "the classes are 'low', 'high'"), ("G3", "the classes are")):
        with pytest.raises(ManifestError, match=rf"`data.positive: {name}` must be one of two classes; {message}"):
            start(study, low.replace("positive: low", f"positive: {name}"))
    with pytest.raises(ManifestError, match="slides have any number of classes"):
        start(study, low.replace("model: {", "model: {head: multi_label, "))


def test_what_is_doubtful_in_the_manifest_is_kept_with_the_run(study):
    edit_manifest(study, lambda table: table.assign(case_id=[("P1", "p1")[i] if i < 2 else f"q{i}" for i in range(20)]))
    (note,) = about(start(study))["notes"]
    assert note.startswith("the patients 'P1' (line 2) and 'p1' (line 3) differ only")
