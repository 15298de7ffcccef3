import pytest
import yaml
from command_line import here

from ats_mag.config.reading import ConfigError, read_config
from ats_mag.config.schema import RunConfig, Section
from ats_mag.config.template import template


def written(folder, text):
    file = folder / "c.yaml"
    file.write_text(text)
    return file


def test_the_template_reads_back_as_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, template())
    assert read_config("c.yaml") == RunConfig()


def test_the_template_names_and_explains_every_key():
    def check(model, values, lines):
        assert set(values) == set(model.model_fields)
        for name, value in values.items():
            (at,) = [i for i, line in enumerate(lines) if line.startswith(f"{name}:")]
            assert lines[at - 1].startswith("# "), f"{model.__name__}.{name} has no documentation"
            inner = model.model_fields[name].annotation
            if isinstance(inner, type) and issubclass(inner, Section):
                end = next(
                    (i for i in range(at + 1, len(lines)) if lines[i].strip() and lines[i][0] != " "), len(lines)
                )
                check(inner, value, [line[2:] for line in lines[at + 1 : end]])

    check(RunConfig, yaml.safe_load(template()), template().splitlines())


def test_init_writes_and_never_overwrites(tmp_path):
    out, _ = here("init", tmp_path / "study" / "mine.yaml")
    assert "ats-mag validate" in out
    assert (tmp_path / "study" / "mine.yaml").read_text() == template()
    _, error = here("init", tmp_path / "study" / "mine.yaml", status=1)
    assert "exists already" in error
    here("init", tmp_path)
    assert (tmp_path / "config.yaml").read_text() == template()
    _, error = here("init", tmp_path / "manifest.csv", status=1)
    assert "end it in .yaml" in error


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    config = read_config(written(tmp_path / "a", f"run: out\ndata: {{slides: {tmp_path}, manifest: ../m.csv}}\n"))
    assert config.run == tmp_path / "a" / "out"
    assert config.data.slides == tmp_path
    assert config.data.manifest == tmp_path / "a" / ".." / "m.csv"
    assert config.records == tmp_path / "a" / "out" / "records"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: 3", "model: this is a section, of keys below it. Received: 3"),
        ("data: {slides: [1]}", "data.slides: a path is expected"),
        ("epochs: 3", "unknown key 'epochs'"),
        ("train: {epoch: 3}", r"unknown key 'train.epoch': did you mean 'epochs'\?"),
        ("train: {augment: {flip: false}}", r"'train.augment.flip': did you mean 'flips'\?"),
        ("train: {epochs: 0}", "train.epochs: Input should be greater than 0. Received: 0"),
        ("splits: {test: 1.0}", "splits.test"),
        ("splits: {folds: 1}", "splits.folds"),
        ("data: {default_mpp: 40}\ndata: {slides: x}", "key 'data' stands twice"),
        ("data: {labels: {yes: positive}}", "write it in quotes"),
        ("data: {default_mpp: 0.001}", "0.05..50 um/px"),
        ("data: {default_mpp: 200}", "data.default_mpp: the resolution of a slide must lie in 0.05..50 um/px"),
        ("prepare: {overview_mpp: 0.001}", "0.05..500 um/px"),
        ("data: {labels: {007: low}}", "data.labels.*YAML reads 007 as the number 7: write it in quotes"),
        ("data: {labels: {010: low}}", "YAML reads 010 as the number 8"),
        ("data: {labels: {a: 1.50}}", "YAML reads 1.50 as the number 1.5"),
        ("data: {labels: {12:30: low}}", "YAML reads 12:30 as the number 750"),
        ("model: {magnifications: [20y]}", "model.magnifications.0: .*20y"),
        ("model: {magnifications: []}", "model.magnifications"),
        ("- a", "must hold sections"),
        ("data: [", "is no YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_config(written(tmp_path, text))


def test_a_missing_file_tells_of_init(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml.*ats-mag init"):
        read_config(tmp_path / "none.yaml")


def test_numbers_name_labels_and_empty_sections_are_defaults(tmp_path):
    config = read_config(written(tmp_path, "data: {labels: {0: benign, 1: malignant}, default_mpp: 20x}\ntrain:\n"))
    assert config.data.labels == {"0": "benign", "1": "malignant"}
    assert config.data.default_mpp == 0.5
    assert RunConfig().model.magnifications == [0.5, 2.0]
    assert config.train == RunConfig().train


def test_a_section_may_take_over_another_s_keys(tmp_path):
    merged = "train: {augment: {<<: {stain: 0.1, contrast: 0.1}, contrast: 0.2}}"
    augment = read_config(written(tmp_path, merged)).train.augment
    assert (augment.stain, augment.contrast) == (0.1, 0.2)
    with pytest.raises(ConfigError, match="'stain' stands twice"):
        read_config(written(tmp_path, "train: {augment: {<<: {contrast: 0.1}, stain: 0.1, stain: 0.2}}"))
