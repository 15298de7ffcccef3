"""The viewer below a path of a proxy, which hands paths on with it or without."""

import re
from urllib.parse import urljoin

import pytest

from ats_mag.prediction import find_slides
from ats_mag.viewer.behind_proxy import parse_allowed_host, parse_root_path
from ats_mag.viewer.request_guard import LONGEST
from ats_mag.viewer.server import create_app

PREFIX = "/user/me@x y/proxy/8500"
WRITTEN = "/user/me%40x%20y/proxy/8500"


@pytest.fixture
def get(slides, serve):
    hosts = [parse_allowed_host("Hub.example.org")]
    return serve(create_app(find_slides(slides), allowed_hosts=hosts, root_path=parse_root_path(WRITTEN + "/")))


@pytest.mark.parametrize("handed_on", ["", WRITTEN])
def test_every_path_is_answered_with_the_prefix_and_without(get, handed_on):
    page = get(handed_on + "/")
    assert page.status == 200
    assert get(WRITTEN).text == page.text
    assert get(handed_on + "/slides").json()[0] == "pyramid"
    about = get(handed_on + "/slides/0").json()
    assert get(f"{handed_on}/slides/0/tiles/{about['finest']}/0/0").status == 200
    assert get(handed_on + "/slides/0/").status == 404
    assert get(handed_on + handed_on + "/slides").status == (404 if handed_on else 200)
    assert get(handed_on + "/slides?" + "x" * (LONGEST - 7)).status == 200
    assert get(handed_on + "/slides?" + "x" * (LONGEST + len(WRITTEN) - 6)).status == 414


@pytest.mark.parametrize("opened", ["/", WRITTEN, WRITTEN + "/"])
def test_all_links_of_the_page_stay_below_the_prefix(get, opened):
    page = get(opened).text
    base = urljoin("http://hub.example.org" + WRITTEN, re.search('<base href="(.+?)">', page)[1])
    links = re.findall(r'(?:src|href)="(?!/)(.+?)"', page)
    assert len(links) == 4
    for link in links:
        address = urljoin(base, link)
        assert address.startswith(f"http://hub.example.org{WRITTEN}/static/")
        assert get(address.removeprefix("http://hub.example.org")).status in (200, 404)  # OpenSeadragon may be missing
    assert "base-uri 'self'" in get(opened).headers["content-security-policy"]


def test_scripts_ask_for_relative_addresses_only(get):
    for name in ("viewer.js", "panel.js", "drawing.js"):
        script = get(f"/static/{name}").text
        assert not re.search(r"""(fetch|ask|picture)\(["'`]/""", script)
        assert not re.search(r"""address: ["'`]/""", script)


@pytest.mark.parametrize(
    ("host", "status"), [("hub.example.org", 200), ("HUB.example.org:443", 200), ("example.org", 421)]
)
def test_only_hosts_that_were_named_are_answered(get, host, status):
    assert get("/slides", host=host).status == status


def test_other_sites_may_link_to_the_page_and_to_nothing_else(get):
    foreign = [("Sec-Fetch-Site", "cross-site")]
    assert get(WRITTEN + "/", foreign, host="hub.example.org").status == 200
    assert get(WRITTEN, foreign, host="hub.example.org").status == 200
    assert get(WRITTEN + "/slides", foreign, host="hub.example.org").status == 403


def test_without_options_nothing_has_changed(slides, serve):
    get = serve(create_app(find_slides(slides)))
    assert "<base" not in get("/").text
    assert get(WRITTEN + "/slides").status == 404
    refused = get("/slides", host="hub.example.org")
    assert refused.status == 421
    assert "--allowed-host" in refused.text


@pytest.mark.parametrize("prefix", ["user/x", "http://hub/x", "/a/../b", "//hub/x", "/a//b", "/slides", "/static/x"])
def test_prefixes_that_are_none_are_refused(prefix):
    with pytest.raises(ValueError, match=f"--root-path.*Received: '{prefix}'"):
        parse_root_path(prefix)


def test_prefixes():
    assert parse_root_path("") == parse_root_path("/") == ""
    assert parse_root_path(WRITTEN) == parse_root_path(PREFIX + "/") == PREFIX


@pytest.mark.parametrize("name", ["", "*", "*.example.org", "https://hub", "hub:80", "hub/x", "a b", "-hub"])
def test_names_that_are_no_hosts_are_refused(name):
    with pytest.raises(ValueError, match="--allowed-host must be one host name"):
        parse_allowed_host(name)


def test_the_command_says_so_before_it_opens_anything():
    from typer.testing import CliRunner

    from ats_mag.cli import app

    for options, name in ((["--root-path", "x"], "--root-path"), (["--allowed-host", "*"], "--allowed-host")):
        refused = CliRunner().invoke(app, ["view", "none.svs", *options])
        assert refused.exit_code == 1
        assert name in str(refused.exception)
