"""What failed is told by its reason, not sixty times."""

import pytest

from ats_mag.cli.slide_progress import SHOWN, same_reason, show_failures


def test_equal_reasons_are_told_once(capsys, monkeypatch):
    paths = [f"images/field {i}.png" for i in range(60)]
    failed = [(path, f"the resolution of image {path!r} is unknown: give it") for path in paths]
    failed[30] = (paths[30], f"image {paths[30]!r} cannot be read")
    show_failures(failed, None, named=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "failed: the resolution of image 'images/field 0.png' is unknown: give it; the same of 58 more: "
        + ", ".join(paths[1 : 1 + SHOWN])
        + ", ...",
        "failed: image 'images/field 30.png' cannot be read",
    ]


@pytest.mark.parametrize("table", [None, "failed.csv"])
def test_many_reasons_are_counted(capsys, table):
    show_failures([(f"s{i}", f"reason {chr(65 + i)}") for i in range(SHOWN + 3)], table)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "failed: s0: reason A"
    assert len(lines) == SHOWN + 1
    assert lines[-1] == (
        "failed: 3 more, for other reasons"
        if table is None
        else "failed: 3 more, and all, with their reasons in failed.csv"
    )


def test_reasons_that_name_the_slide_in_any_way_are_equal():
    failed = [(f"/data/{name}.svs", f"{name}: cannot open '/data/{name}.svs' ({name}.svs)") for name in ("a", "b")]
    assert same_reason(failed) == [(["/data/a.svs", "/data/b.svs"], failed[0][1])]
    assert len(same_reason([("a", "torn"), ("b", "empty"), ("c", "torn")])) == 2
