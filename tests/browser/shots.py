"""A picture of every page × appearance × width × language, for a person to look at: python -m tests.browser.shots [folder]."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

import demo  # noqa: E402
import served as installations  # noqa: E402
from conftest import CHROMIUM, FLAGS, sign_in  # noqa: E402
from pages import PAGES, PUBLIC  # noqa: E402

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with installations.served(filled=False) as site, sync_playwright() as playwright:
        demo.furnish(site.database, site.vendor)
        site.api("PUT", "/api/option/", {"key": "Notice", "value": "**Welcome!** Prices fell on Friday."})
        site.api("POST", "/api/redemption/", {"name": "launch", "quota": 500_000, "count": 12})
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size, (width, height) in SIZES.items():
            for appearance in ("light", "dark"):
                for lang in ("en", "zh_CN"):
                    for user, paths in (("root", PAGES), ("", PUBLIC)):
                        context = browser.new_context(viewport={"width": width, "height": height}, base_url=site.url)
                        page = context.new_page()
                        if user:
                            sign_in(page, user)
                        cookies = (("lang", lang), ("appearance", appearance), ("checklist", "off"))
                        context.add_cookies([{"name": n, "value": v, "url": site.url} for n, v in cookies])
                        for name, path in paths.items():
                            page.goto(path)
                            page.wait_for_timeout(350)
                            target = folder / f"{size}-{appearance}-{lang}" / f"{name}.png"
                            target.parent.mkdir(parents=True, exist_ok=True)
                            page.screenshot(path=target)
                        context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
