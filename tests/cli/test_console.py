"""What is printed is what was meant, to the letter, and every error is one line."""

import ast
import io
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ats_mag.cli import console as module
from ats_mag.cli import streams
from ats_mag.cli.console import run_app, say, show_error
from ats_mag.slides.errors import SlideError

ROOT = Path(__file__).resolve().parents[2]
NAMES = st.lists(
    st.sampled_from(["[red]", "[/x]", "[/]", "\\", ":bug:", "{{a b}}", "[[1]]", "é", "a", " ", "@", "/", "[0]"])
)


@settings(max_examples=examples(100), deadline=None)
@given(NAMES)
def test_names_are_printed_to_the_letter(parts):
    name = "x" + "".join(parts) + ".tif"
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "console", Console(file=out, emoji=False))
        patch.setattr(module, "errors", Console(file=error, emoji=False))
        say(f"wrote {name}")
        show_error(f"{name} is bad")
    assert out.getvalue() == f"wrote {name}\n"
    assert error.getvalue() == f"error: {name} is bad\n"


def test_the_consoles_know_no_emoji_codes():
    with module.console.capture() as caught:
        module.console.print("a:bug:.tif", markup=False, soft_wrap=True)
    assert caught.get() == "a:bug:.tif\n"


def test_nothing_that_is_filled_in_is_printed_as_markup():
    """Whoever prints names goes through `say` or `show_error`, escapes them, or says markup=False."""
    for file in [*ROOT.glob("ats_mag/**/*.py"), *ROOT.glob("data_prep/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "print"):
                continue
            filled = [
                part
                for a in node.args
                if isinstance(a, ast.JoinedStr)
                for part in a.values
                if isinstance(part, ast.FormattedValue)
            ]
            bare = [part for part in filled if part.format_spec is None and "escape" not in ast.unparse(part)]
            plain = any(key.arg == "markup" and ast.unparse(key.value) == "False" for key in node.keywords)
            known = file.name in ("slide_progress.py", "console.py", "script.py")  # counts, and titles of our own
            assert plain or known or not bare, f"{file}:{node.lineno} prints what it fills in as markup"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_streams_take_names_that_are_no_utf_8(monkeypatch, encoding):
    raw, name = io.BytesIO(), b"/M\xfcller/\xff\xc3\xa9.tif"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, errors="strict", write_through=True))
    streams.take_any_name()
    print(name.decode(errors="surrogateescape"))
    print("\u00b5m \u4e2d")
    written = raw.getvalue().splitlines()
    assert b"\xfcller/\xff" in written[0]
    if encoding == "utf-8":
        assert written == [name, "\u00b5m \u4e2d".encode()]


def _run(capsys, error):
    def app():
        raise error

    with pytest.raises(SystemExit) as ended:
        run_app(app)
    assert ended.value.code == 1
    return capsys.readouterr().err


_DUMP = "Exception encountered when calling ReadSlidePatches.call().\n\n\x1b[1m{}\x1b[0m\n\nArguments received by ReadSlidePatches.call():\n  \u2022 path=x"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a is bad"), "error: a is bad\n"),
        (SlideError("cannot read slide 'a[[1]].tif'"), "error: cannot read slide 'a[[1]].tif'\n"),
        (
            tf.errors.DataLossError(None, None, "cannot read slide 'a[[1]].tif'"),
            "error: cannot read slide 'a[[1]].tif'\n",
        ),
        (tf.errors.UnknownError(None, None, "full\n\t [[{{node x}}]] [Op:Save] name: "), "error: full\n"),
        (
            tf.errors.DataLossError(None, None, _DUMP.format("{{function_node __wrapped__X_y}} torn [Op:X] name: ")),
            "error: torn\n",
        ),
        (ValueError(_DUMP.format("shapes differ")), "error: shapes differ\n"),
        (KeyError("x"), "error: KeyError: 'x' (not foreseen: please report it, with what ATS_MAG_TRACEBACK=1 shows)\n"),
        (MemoryError(), "error: MemoryError\n"),
    ],
)
def test_errors_are_one_line(capsys, monkeypatch, error, said):
    monkeypatch.delenv("ATS_MAG_TRACEBACK", raising=False)
    assert _run(capsys, error) == said


def test_where_an_error_is_from_is_shown_where_asked(monkeypatch):
    monkeypatch.setenv("ATS_MAG_TRACEBACK", "1")

    def app():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_app(app)


def test_a_configuration_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    from ats_mag.cli.init import init

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ats_mag.config.template.template", full)
    with pytest.raises(OSError, match=r"could not be written: '.*/a\.yaml'"):
        init(tmp_path / "a.yaml")
    assert list(tmp_path.iterdir()) == []
