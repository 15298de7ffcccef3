"""`--fold` and `--folds`: what they name, and what they refuse."""

import pytest

from ats_mag.cli.chosen_folds import asked_folds, chosen_folds, parse_folds


@pytest.mark.parametrize(
    ("text", "folds"), [("0,2", [0, 2]), ("3", [3]), ("4,0-2", [4, 0, 1, 2]), (" 1 , 2 ", [1, 2]), ("2-2", [2])]
)
def test_folds_are_named_by_numbers_and_ranges(text, folds):
    assert parse_folds(text) == folds


@pytest.mark.parametrize("text", ["", "a", "0,", "1;2", "-1", "2-0", "1.5", "²"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"--folds takes numbers of folds such as 0,2 or 0-2,4\. Received: '"):
        parse_folds(text)


def test_what_cannot_be_meant_is_refused():
    every = [0, 1, 2]
    assert chosen_folds(every, asked_folds(None, None)) == every
    assert chosen_folds(every, asked_folds(1, None)) == [1]
    assert chosen_folds(every, asked_folds(None, "2,0")) == [2, 0]
    with pytest.raises(ValueError, match="--folds names fold 1 twice"):
        asked_folds(None, "0-2,1")
    with pytest.raises(ValueError, match="--fold and --folds were both given"):
        asked_folds(0, "1")
    with pytest.raises(ValueError, match=r"the run has the folds 0 to 2\. Received: 3$"):
        chosen_folds(every, [0, 3])
    with pytest.raises(ValueError, match=r"the run has the folds 0 to 0\. Received: 5 \(several: splits.kind: kfold\)"):
        chosen_folds([0], [5])
