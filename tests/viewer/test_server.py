import io
import os
import time
import zipfile

import numpy as np
import openslide
import pytest
from PIL import Image

from ats_mag.pictures.colours import magnification_colour, rgb
from ats_mag.prediction import CohortSlide, find_slides
from ats_mag.viewer import server
from ats_mag.viewer.background_inspection import BackgroundInspection, model_opener
from ats_mag.viewer.request_guard import LONGEST
from ats_mag.viewer.tiles import TILE


@pytest.fixture
def get(slides, inspected, serve):
    shown = find_slides(slides)
    return serve(server.create_app(shown, BackgroundInspection(shown, lambda: inspected), lossless=True))


def wait_for(get, slide, *states):
    deadline = time.monotonic() + 30
    while (found := get(f"/slides/{slide}/look").json())["state"] not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def picture(answer):
    assert answer.status == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_served_tile_is_the_region_that_openslide_reads(get, slides):
    about = get("/slides/0").json()
    assert (about["width"], about["height"], about["mpp"]) == (2400, 1600, 0.5)
    answer = get(f"/slides/0/tiles/{about['finest']}/2/1")
    assert answer.headers["content-type"] == "image/png"
    with openslide.OpenSlide(slides[0]) as slide:
        place = (2 * TILE - 1, TILE - 1)
        region = slide.read_region(place, 0, (TILE + 2, TILE + 2)).convert("RGB")
    np.testing.assert_array_equal(picture(answer), np.asarray(region))


def test_what_the_model_says_comes_once_asked_for(get, inspected):
    assert get("/slides/1/attention/0").status == 404
    assert get("/slides/1/patches/0").status == 404
    found = wait_for(get, 1, "done")
    assert found["classes"] == ["a", "<b>"]
    assert found["probabilities"] == [0.25, 0.75]
    made = inspected(CohortSlide("", ""))
    assert [(p["x"], p["y"], p["side"]) for p in found["patches"]] == [
        (*corner, side) for corner, side in zip(made.location.tolist(), made.side_px.tolist(), strict=True)
    ]
    assert found["patches"][1]["contribution"] == pytest.approx([-0.2, 1.2])
    np.testing.assert_array_equal(picture(get("/slides/1/patches/1")), made.patches[1])
    layer = picture(get("/slides/1/attention/1"))
    assert layer.shape == (25, 38, 4)
    assert layer[11, 20].tolist() == [*rgb(magnification_colour(1)), 255]  # the highest of all
    assert layer[10, 12, 3] == 64
    assert layer[..., 3].astype(bool).sum() == 2
    assert get("/slides/1/attention/2").status == 404
    assert get("/slides/1/patches/2").status == 404
    assert get("/slides/0/attention/0").status == 404  # of a slide that was not asked for


def test_without_a_model_the_slides_are_shown_alone(slides, serve):
    get = serve(server.create_app(find_slides(slides)))
    assert get("/slides/1/look").json() == {"state": "none"}
    assert get("/slides/0").json()["width"] == 2400
    for path in ("/slides/0/attention/0", "/slides/0/patches/0", "/slides/2/look"):
        assert get(path).status == 404


def test_a_slide_that_fails_says_so_and_the_next_has_its_turn(slides, inspected, serve):
    shown = find_slides(slides)
    calls = []

    def failing(slide):
        calls.append(slide.path)
        if slide.path == str(slides[0]):
            raise ValueError("no tissue was found")
        return inspected(slide)

    get = serve(server.create_app(shown, BackgroundInspection(shown, lambda: failing)))
    assert wait_for(get, 0, "failed", "done") == {"state": "failed", "error": "no tissue was found"}
    wait_for(get, 1, "done")
    wait_for(get, 1, "done")
    assert calls == [str(slide) for slide in slides]  # each once


@pytest.mark.parametrize(
    "path",
    [
        "/slides/2",
        "/slides/2/look",
        "/slides/-1",
        "/slides/0/tiles/13/0/0",
        "/slides/0/tiles/12/5/0",
        "/slides/0/tiles/12/0/99999999999999999999999999",
        "/slides/0/tiles/12/-1/0",
        "/slides/0/tiles/12/0/0x1",
        "/slides/pyramid.tif",
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/guard.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/vendor/LICENSE.txt",
        "/static/index.html%00.js",
        "/../../etc/passwd",
        "/etc/passwd",
    ],
)
def test_nothing_but_the_named_slides_and_the_page_is_served(get, path):
    answer = get(path)
    assert answer.status == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "", "[::1]:8000", "10.0.0.1"]
)
def test_foreign_hosts_are_refused(get, host):
    answer = get("/slides", host=host)
    assert answer.status == 421
    assert "pyramid" not in answer.text


def test_a_missing_or_doubled_host_is_refused(get):
    assert get("/slides", host=None).status == 400
    assert get("/slides", [("Host", "evil.example")]).status in (400, 421)
    assert get("/slides", host="localhost").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
def test_only_get_is_answered(get, method):
    answer = get("/slides/0/look", method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET"


def test_long_addresses_are_refused(get):
    assert get("/slides?" + "x" * (LONGEST - 7)).status == 200
    assert get("/slides?" + "x" * (LONGEST - 6)).status == 414
    assert get("/slides/0/tiles/12/" + "1" * 5000 + "/0").status == 414


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_nothing(get, site):
    assert get("/slides", [("Sec-Fetch-Site", site)]).status == 403
    assert get("/slides/0/look", [("Sec-Fetch-Site", site)]).status == 403
    assert get("/", [("Sec-Fetch-Site", site)]).status == 200  # a link to the page
    assert get("/slides", [("Sec-Fetch-Site", "same-origin")]).status == 200


@pytest.mark.parametrize("path", ["/", "/slides", "/slides/0", "/slides/9", "/static/viewer.js"])
def test_every_answer_keeps_other_pages_and_scripts_out(get, path):
    headers = get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_inline_scripts_or_handlers():
    page = server.static_file("index.html").decode()
    assert page.count("<script") == page.count("<script src=") + page.count('<script type="module" src=') == 2
    assert " on" not in page.replace(" on the", "").replace(" one", "")
    for name in ("viewer.js", "drawing.js", "panel.js"):
        assert b"innerHTML" not in server.static_file(name)


def test_a_file_that_is_no_slide_is_an_answer_and_no_crash(tmp_path, inspected, serve):
    (tmp_path / "text.svs").write_text("no slide")
    shown = find_slides([tmp_path / "text.svs"])
    get = serve(server.create_app(shown, BackgroundInspection(shown, lambda: inspected)))
    answer = get("/slides/0")
    assert answer.status == 422
    assert "text.svs" in answer.text


def test_without_openseadragon_the_message_says_how_to_mend(monkeypatch):
    monkeypatch.setattr(server, "_VENDORED", "nowhere")
    with pytest.raises(FileNotFoundError, match="Install npm"):
        server.static_file("openseadragon.min.js")


def test_models_that_cannot_be_viewed_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        model_opener(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.keras"):
        model_opener(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"no \.keras file"):
        model_opener(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("a.csv", "1")
    with pytest.raises(ValueError, match=r"other\.keras.*lacks config\.json"):
        model_opener(tmp_path / "other.keras")


def test_names_that_are_no_utf_8_are_listed(slides, inspected, serve, tmp_path):
    odd = tmp_path / "M\udcfcller.tif"
    os.link(slides[0], odd)
    shown = find_slides([odd])
    get = serve(server.create_app(shown, BackgroundInspection(shown, lambda: inspected), lossless=True))
    assert get("/slides").json() == ["M\\xfcller"]
    assert get("/slides/0").json()["width"] == 2400
