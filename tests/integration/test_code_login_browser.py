"""The page ``/device`` in a real browser."""

from __future__ import annotations

import asyncio

from funcx_core.home import home
from tests.integration.test_code_login import a_client, ask, begin
from tests.support.browser import a_page, require_browser
from tests.support.webservice import a_service

SHOWN = "document.getElementById('{}').checkVisibility()"


async def test_a_code_is_approved_by_keyboard(tmp_path):
    require_browser()
    async with a_service(tmp_path / "service") as service, a_client(service) as (waiting, code), a_page() as page:
        await page.go(f"{service.web.address.removesuffix('/v2')}/device#user_code={code}")
        assert await page.until("document.activeElement.id") == "token"
        assert await page.evaluate("document.getElementById('code').value") == code
        assert code not in await page.evaluate("location.href")
        await page.type("fxt_wrong")
        await page.press("Enter")
        assert "not known here" in await page.until("document.getElementById('problem').textContent")
        await page.evaluate("document.getElementById('token').value = ''; document.getElementById('token').focus()")
        await page.type(service.alice)
        await page.press("Enter")
        await page.until(SHOWN.format("asked"))
        assert " on " in await page.evaluate("document.getElementById('asked-label').textContent")
        await page.evaluate("document.getElementById('approve').click()")
        assert "signed in within seconds" in await page.until("document.getElementById('done').textContent")
        assert await asyncio.wait_for(waiting, 20) == service.web.address
        assert await page.evaluate("sessionStorage.length") == 0
    assert (home() / "credentials.json").exists()


async def test_what_a_client_says_of_itself_is_text_and_it_can_be_denied(tmp_path):
    require_browser()
    async with a_service(tmp_path / "service") as service, a_page() as page:
        begun = await begin(service, label="<img src=x onerror=alert(1)>")
        await page.go(begun["verification_uri_complete"])
        await page.until("document.activeElement.id === 'token'")
        await page.type(service.alice)
        await page.press("Enter")
        await page.until(SHOWN.format("asked"))
        assert await page.evaluate("document.querySelectorAll('#asked img').length") == 0
        await page.evaluate("document.getElementById('deny').click()")
        assert "Denied" in await page.until("document.getElementById('done').textContent")
        assert (await ask(service, begun))[1]["error"] == "access_denied"
        assert page.complaints == []
