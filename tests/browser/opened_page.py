"""A page of the built site as it stands in a browser."""

from dataclasses import dataclass, field

import yaml
from playwright.sync_api import Page

from featurelens import stamps

ROOT = stamps.root()
SCREENSHOTS = ROOT / "_build" / "screenshots"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def page_names() -> list[str]:
    """Every page of the site: those of the contents, and those that Sphinx makes."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry for part in contents["parts"] for entry in part["chapters"]]
    listed = [page["file"] for entry in chapters for page in (entry, *entry.get("sections", ()))]
    return [contents["root"], *listed, "genindex", "prf-prf", "search"]


@dataclass
class Opened:
    """A page in the browser, and what went wrong while it was loaded."""

    name: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def dress(self, scheme: str = "light", viewport: dict = DESKTOP, motion: str = "no-preference") -> None:
        """Set the colours, the size of the window and the wish for less motion."""
        self.page.set_viewport_size(viewport)
        self.page.emulate_media(color_scheme=scheme, reduced_motion=motion)
        self.page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)

    def screenshot(self, suffix: str) -> None:
        """Keep what the page looks like."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{self.name.replace('/', '-')}-{suffix}.jpg"
        self.page.screenshot(path=path, full_page=True, type="jpeg", quality=70)

    def unfold(self) -> None:
        """Open folded code and hidden solutions, at once instead of in steps."""
        self.page.emulate_media(reduced_motion="reduce")
        self.page.evaluate(
            """() => {
                document.querySelectorAll("details").forEach(folded => { folded.open = true; });
                document.querySelectorAll("button.toggle-button-hidden").forEach(button => button.click());
            }"""
        )
