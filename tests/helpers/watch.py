"""Pages in a headless Chromium that remember what went wrong on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP = {"width": 1400, "height": 1000}
PHONE = {"width": 390, "height": 844}

PATIENCE_MS = 60_000
"""Longest wait for anything on a page; long, because a machine may be busy."""

BROKEN_IMAGES = """
() => [...document.images].filter(image => !(image.complete && image.naturalWidth > 0))
    .map(image => image.alt || image.src.slice(0, 80))
"""


class Chromium:
    """Opens pages; at the end of each ``with`` block nothing may have gone wrong that is not tolerated."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @contextmanager
    def page(
        self, site: str, *, tolerated: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator[Page]:
        """A page of its own context.

        Args:
            site: what every address starts with; others are blocked and told as errors.
            tolerated: part of an error -> why it is no fault of ours.
            options: of Playwright's ``new_context``, e.g. ``viewport`` or ``color_scheme``.
        """
        errors: list[str] = []
        context = self.browser.new_context(**{"viewport": DESKTOP, **options})
        inline = ("data:", "blob:", "about:")

        def guard(route: Any) -> None:
            if route.request.url.startswith((site, *inline)):
                route.continue_()
            else:
                errors.append(f"request to {route.request.url}")
                route.abort()

        context.route("**/*", guard)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(f"exception: {error}"))
        page.on(
            "console",
            lambda message: (
                errors.append(f"console: {message.text} at {message.location.get('url', '')}")
                if message.type == "error"
                else None
            ),
        )
        yield page
        broken = page.evaluate(BROKEN_IMAGES)
        context.close()
        assert broken == [], f"images without a size: {broken}"
        kept = [error for error in errors if not any(part in error for part in tolerated or {})]
        assert kept == [], "\n".join(kept)


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def pdf_pages(page: Page) -> int:
    """Pages on paper, in the size that the page's own style names."""
    content: bytes = page.pdf(prefer_css_page_size=True)
    return content.count(b"/Type /Page") - content.count(b"/Type /Pages")
