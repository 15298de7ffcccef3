"""Each kind of label answers what depends on it."""

import numpy as np
import pytest

from ats_mag.model.heads import get_head

OUTPUTS = {"single_label": [[0.2, 0.8]], "multi_label": [[0.2, 0.9]], "binary": [[0.75]]}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_a_head_answers(name):
    head = get_head(name)
    assert head.name == name
    assert head.exclusive == (name != "multi_label")
    assert head.units(2) == len(OUTPUTS[name][0])
    probabilities = head.class_probabilities(OUTPUTS[name])
    np.testing.assert_allclose(probabilities, [[0.25, 0.75]] if name == "binary" else OUTPUTS[name])
    auc = [] if name == "single_label" else ["auc"]
    assert [metric.name for metric in head.metrics()] == ["accuracy", *auc, "cross_entropy"]
    labels = head.labels(np.array([0, 1]))
    assert tuple(labels.shape) == ((2, 1) if name == "binary" else (2,))


@pytest.mark.parametrize(
    ("name", "classes", "wanted"),
    [
        ("single_label", ["a"], "at least 2"),
        ("multi_label", [], "at least 1"),
        ("binary", ["a", "b", "c"], "exactly 2"),
        ("binary", ["a", "a"], "exactly 2"),
    ],
)
def test_classes_that_do_not_fit_are_refused(name, classes, wanted):
    with pytest.raises(ValueError, match=f"head='{name}' needs {wanted} classes, each named once"):
        get_head(name).check_classes(classes)


def test_classes_that_fit():
    for name, classes in (("single_label", ["a", "b", "c"]), ("multi_label", ["a"]), ("binary", ["a", "b"])):
        get_head(name).check_classes(classes)


def test_an_unknown_head_is_refused():
    with pytest.raises(
        ValueError, match=r"head must be one of single_label, multi_label, binary\. Received: head='softmax'"
    ):
        get_head("softmax")
