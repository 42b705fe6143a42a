"""The status page in a real browser, while tasks run on a real fabric."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from tests.support.browser import a_page, require_browser
from tests.support.fabric import Fabric


def wait_for(folder: str, count: int) -> int:
    import pathlib
    import time as clock

    while len(list(pathlib.Path(folder).iterdir())) < count:
        clock.sleep(0.05)
    return count


def fail() -> None:
    raise ValueError("as asked")


def link_of(fabric: Fabric) -> str:
    command = [sys.executable, "-m", "funcx_core.fabric.cli", "open", "--no-browser"]
    return subprocess.run(
        command, env=fabric.environment(), capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def the_count(name: str) -> str:
    return f"Number(document.getElementById('count-{name}')?.textContent.replaceAll(',', '') ?? -1)"


async def test_the_page_shows_tasks_while_they_run(fabric: Fabric, tmp_path: Path) -> None:
    require_browser()
    root = fabric.address.removesuffix("/v2")
    client = FuncXClient(funcx_service_address=fabric.address, token=fabric.token)
    async with a_page() as page:
        await page.look()
        await page.go(f"{root}/")
        # By keyboard alone: the token field has the focus.
        assert await page.until("document.activeElement.id") == "token"
        await page.type(fabric.token)
        await page.press("Enter")
        await page.until("document.getElementById('endpoints').innerText.includes('online')")
        assert not await page.evaluate("document.getElementById('sign-in').checkVisibility()")
        before = {name: await page.evaluate(the_count(name)) for name in ("running", "done", "failed")}

        with FuncXExecutor(fabric.endpoint_id, funcx_client=client) as executor:
            futures = [executor.submit(wait_for, str(tmp_path), 1) for _ in range(4)]
            await page.until(f"{the_count('running')} === {before['running'] + 2}")
            await page.until(f"{the_count('waiting')} > 0")
            (tmp_path / "go").touch()
            futures.append(executor.submit(fail))
            await page.until(f"{the_count('done')} === {before['done'] + 4}")
            await page.until(f"{the_count('failed')} === {before['failed'] + 1}")
            assert [await asyncio.wrap_future(each) for each in futures[:4]] == [1] * 4
            assert futures[4].exception() is not None
        assert await page.evaluate("document.querySelectorAll('#newest .bar i.run').length") >= 4
        assert "wait_for" in await page.evaluate("document.getElementById('functions').innerText")
        assert await page.evaluate("document.getElementById('spoken').textContent.startsWith('Tasks: ')")

        for dark, width in ((False, 1150), (True, 1150), (True, 390)):
            await page.look(dark=dark, width=width)
            wider_than_window = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await page.evaluate(wider_than_window)
            keep_picture(
                f"status-{'dark' if dark else 'light'}{'' if width > 1000 else '-phone'}", await page.picture()
            )
        assert await page.evaluate("location.href") == f"{root}/"
        assert page.complaints == []


async def test_a_link_signs_in_once_and_the_token_is_not_in_the_address(fabric: Fabric) -> None:
    require_browser()
    link = await asyncio.to_thread(link_of, fabric)
    async with a_page() as page:
        await page.go(link)
        await page.until("document.getElementById('endpoints').innerText.includes('online')")
        assert "code" not in await page.evaluate("location.href")
        await page.evaluate("sessionStorage.clear()")
        await page.go("about:blank")
        await page.go(link)
        assert "used before" in await page.until("document.getElementById('problem').innerText")
        assert await page.evaluate("document.getElementById('sign-in').checkVisibility()")


async def test_the_page_asks_nothing_while_nobody_sees_it(fabric: Fabric) -> None:
    require_browser()
    async with a_page() as page:
        await page.go(await asyncio.to_thread(link_of, fabric))
        await page.until("document.getElementById('endpoints').innerText.includes('online')")
        asked = "performance.getEntriesByType('resource').filter(each => each.name.endsWith('/overview')).length"
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
        await page.evaluate(hide % "true")
        await asyncio.sleep(0.5)  # what was under way comes back
        before = await page.evaluate(asked)
        started = time.monotonic()
        await asyncio.sleep(2)
        assert await page.evaluate(asked) == before, time.monotonic() - started
        await page.evaluate(hide % "false")
        await page.until(f"{asked} > {before}")


async def test_the_description_of_the_api_can_be_read(fabric: Fabric) -> None:
    require_browser()
    root = fabric.address.removesuffix("/v2")
    async with a_page() as page:
        await page.look()
        await page.go(f"{root}/docs#schema-ErrorBody")
        assert await page.until("document.getElementById('schema-ErrorBody')?.open")
        assert await page.evaluate("document.getElementById('post_v2_submit').innerText.includes('/v2/submit')")
        await page.evaluate("document.getElementById('filter').value = 'cancel'")
        await page.evaluate("document.getElementById('filter').dispatchEvent(new Event('input'))")
        assert not await page.evaluate("document.getElementById('post_v2_submit').checkVisibility()")
        assert await page.evaluate("document.getElementById('post_v2_tasks_task_id_cancel').checkVisibility()")
        assert page.complaints == []


def keep_picture(name: str, picture: bytes) -> None:
    """Leave a picture where PICTURES says, for those who want to look."""
    folder = os.environ.get("PICTURES")
    if folder:
        Path(folder, f"{name}.png").write_bytes(picture)
