"""The relay's pages in a real browser, as wide as a phone (`scripts/test-pages` installs one)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser import PROGRAM, Chromium
from tests.io.relay.desk import ADMIN
from tests.io.relay.provider import CODE, Provider
from tests.io.relay.site import Site
from tests.processes import wait_until
from tests.remote import free_port

pytestmark = [
    pytest.mark.skipif(not PROGRAM, reason="needs Chromium (scripts/test-pages)"),
    pytest.mark.slow,
]
WIDTH = 360
# Ours are at most 24 letters; what comes by a link may be longer.
INVITE = "CW-INV-abcdefghijklmnopqrstuvwx"


class Visit:
    """A relay, and a browser that looks at its pages."""

    def __init__(self, directory: Path, **settings: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.site = Site(directory, base_url=self.url, listen=f"127.0.0.1:{port}", **settings)
        try:
            self.browser = Chromium(WIDTH)
        except BaseException:
            self.site.close()
            raise

    def look(self, path: str = "") -> str:
        """Return a page's text, the present one's by default, once it is known to be in order."""
        if path:
            self.browser.visit(self.url + path)
        widths = "[document.documentElement.scrollWidth, innerWidth]"
        wide = self.browser.run(widths)
        assert wide == [WIDTH, WIDTH], f"{path} scrolls sideways: {wide}"
        outside = "[...document.querySelectorAll('*')].filter("
        outside += f"e => e.getBoundingClientRect().right > {WIDTH}).map(e => e.outerHTML)"
        assert self.browser.run(outside) == []
        assert float(self.browser.run("parseFloat(getComputedStyle(document.body).fontSize)")) >= 16
        assert self.browser.violations == []
        return self.browser.text()

    def close(self) -> None:
        self.browser.close()
        self.site.close()


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Visit]:
    visit = Visit(tmp_path)
    yield visit
    visit.close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


def test_an_invite(visit: Visit) -> None:
    command = f"cw login && cw network join --relay-url {visit.url} {INVITE}"
    assert command in visit.look(f"/join?invite={INVITE}")
    assert "carries no invite" in visit.look("/join")
    hostile = visit.look("/join?invite=<script>document.title='x'</script>" + "y" * 500)
    assert "<script>" in hostile and visit.browser.run("document.title") != "x"


def test_a_program_is_logged_in_by_its_code(visit: Visit) -> None:
    begun = visit.site.ok("POST", "/api/auth/device/authorize", token="")
    visit.look(f"/device?user_code={begun['user_code']}")
    assert (
        visit.browser.run("document.querySelector('[name=user_code]').value")
        == (begun["user_code"])
    )
    visit.browser.type("[name=token]", "wrong")
    visit.browser.press("button[value=confirm]")
    assert visit.site.ask("POST", "/api/auth/device/token", poll(begun), token="")[0] == 202
    assert "Confirm only a code" in visit.look()
    visit.browser.type("[name=token]", ADMIN)
    visit.browser.press("button[value=confirm]")
    assert "The program is logged in." in visit.look()
    said = visit.site.ok("POST", "/api/auth/device/token", poll(begun), token="")
    assert said["user"]["name"] == "admin"


def poll(begun: dict[str, str]) -> dict[str, str]:
    return {"device_code": begun["device_code"]}


def test_signing_in_and_out(provider: Provider, tmp_path: Path) -> None:
    issuer = {"oidc_issuer": provider.url, "oidc_client_id": "the-client"}
    visit = Visit(tmp_path, auth_mode="oidc", **issuer)
    try:
        wait_until(lambda: visit.site.relay.oidc._found)
        assert visit.look("/").endswith("It is up.\n\nSign in")
        visit.browser.press("a.button")
        # At the provider, which would send whoever signs in back with a code.
        state = parse_qs(urlsplit(visit.browser.run("location.href")).query)["state"][0]
        there = visit.look(f"/auth/oidc/callback?code={CODE}&state={state}")
        assert "You are signed in as" in there and "Sign out" in there
        assert visit.browser.run("location.pathname + document.cookie") == "/"
        begun = visit.site.ok("POST", "/api/auth/device/authorize", token="")
        assert "You are signed in as" in visit.look(f"/device?user_code={begun['user_code']}")
        visit.browser.press("button[value=deny]")
        assert "It was denied." in visit.look()
        visit.look("/")
        visit.browser.press("form button")
        assert visit.look("/").endswith("Sign in")
    finally:
        visit.close()


def test_setting_up_with_github(provider: Provider, tmp_path: Path) -> None:
    urls = {"github_url": provider.url, "github_api_url": provider.url}
    visit = Visit(tmp_path, auth_mode="github", **urls)
    try:
        assert "no GitHub App yet" in visit.look("/")
        visit.browser.type("[name=setup_code]", visit.site.relay.service.setup_code)
        visit.browser.press("form button")
        assert "Create the GitHub App" in visit.look()
        manifest = visit.browser.run("document.querySelector('[name=manifest]').value")
        assert re.search(rf'"redirect_url": ?"{visit.url}/auth/github/manifest', manifest)
    finally:
        visit.close()
