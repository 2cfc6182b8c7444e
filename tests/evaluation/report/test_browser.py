"""The page in a real browser, by keyboard, in narrow windows, in the dark and without scripts."""

import numpy as np
import pytest

from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.overlaps import IOU_TYPES
from maskrcnn_jax.evaluation.report import write_report
from tests.evaluation.report import browser
from tests.evaluation.report.cases import SIDE, random_case, with_masks

_FOCUSED = "document.activeElement.textContent.trim()"
_FIRST_CLASS = "document.querySelector('table.sortable tbody th').textContent"
# Ratios of WCAG 2.1 of all texts that are seen, with the ground that is under them.
_LOWEST_CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d');
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let lowest = [21, ''];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].find((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !element.getClientRects().length) continue;
    const grounds = [];
    for (let e = element; e; e = e.parentElement) {
      grounds.unshift(getComputedStyle(e).backgroundColor);
    }
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const values = [luminance(over(grounds)), luminance(over([...grounds, ink]))];
    const ratio = (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
    if (ratio < lowest[0]) lowest = [ratio, element.tagName + ': ' + text.data.trim()];
  }
  return lowest;
})()"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page with long names, pictures, and all kinds of overlap."""
    truth, results = random_case(3)
    long_name = "_".join(["a_file_with_a_name_that_no_telephone_can_show"] * 3)
    truth.file_names[1] = f"{long_name}.jpg"
    results = with_masks(results)
    return write_report(
        tmp_path_factory.mktemp("report"),
        truth,
        results,
        evaluate(truth, results, iou_types=IOU_TYPES),
        title=f"{long_name} against {long_name}",
        source=lambda _: np.full((SIDE, SIDE, 3), 128, np.uint8),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if browser.chromium() is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with browser.opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(autouse=True)
def _usual_settings(page):
    page.emulate()
    page.allow_scripts(True)
    page.problems.clear()


@pytest.mark.parametrize("width", [320, 360, 390, 768, 1280, 2560])
def test_the_page_never_scrolls_sideways(page, path, width):
    page.open(path, width=width)
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.run("document.documentElement.scrollWidth") == width
    cut = "[...document.querySelectorAll('h1, h2, h3, h4, p, figure, img, dl, summary, ul')]"
    cut += f".filter(e => !e.closest('nav') && e.getBoundingClientRect().right > {width})"
    assert page.run(f"{cut}.map(e => e.outerHTML.slice(0, 80))") == []


def test_it_loads_nothing_and_nothing_goes_wrong(page, path):
    page.open(path, width=1280)
    others = [address for address in page.requests if not address.startswith("data:")]
    assert others == [path.as_uri()]
    assert page.problems == []
    assert page.run("[...document.images].every(image => image.naturalWidth > 0)")


def test_the_first_tab_offers_to_skip_the_navigation(page, path):
    page.open(path, width=1280)
    page.press("Tab")
    assert page.run(_FOCUSED) == "Skip to the scores"
    assert page.run("document.activeElement.getBoundingClientRect().top") >= 0
    page.press("Enter")
    assert page.run("location.hash") == "#scores"


def test_every_stop_of_the_keyboard_is_seen(page, path):
    page.open(path, width=1280)
    stops = []
    for _ in range(100):
        page.press("Tab")
        if page.run("document.activeElement === document.body"):
            break
        stops.append(page.run("document.activeElement.tagName"))
        outline = "getComputedStyle(document.activeElement)"
        assert page.run(f"{outline}.outlineStyle") == "solid", page.run(_FOCUSED)
        assert page.run(f"parseFloat({outline}.outlineWidth)") >= 2
    assert {"A", "DIV", "BUTTON", "SUMMARY"} <= set(stops)
    assert len(stops) < 100


def test_tables_are_sorted_by_keyboard(page, path):
    page.open(path, width=1280)
    column = "[...document.querySelectorAll('table.sortable tbody th')].map(e => e.textContent)"
    by_ap = page.run(column)
    page.run("document.querySelector('table.sortable button').focus()")
    page.press("Enter")
    assert page.run(column) == sorted(by_ap)
    assert page.run("document.querySelector('[aria-sort]').ariaSort") == "ascending"
    page.press("Space")
    assert page.run(column) == sorted(by_ap, reverse=True)
    page.press("Tab")
    page.press("Enter")  # AP, the best first
    assert page.run(column) == by_ap
    assert page.run("document.querySelectorAll('[aria-sort]').length") == 1


@pytest.mark.parametrize("scripts", [True, False])
def test_the_name_of_a_class_leads_to_its_curves(page, path, scripts):
    page.allow_scripts(scripts)
    page.open(path, width=1280)
    page.run("document.querySelector('table.sortable tbody a').focus()")
    page.press("Enter")
    # Smooth scrolling takes its time.
    seen = "document.querySelector(location.hash).querySelector('svg').getClientRects().length > 0"
    assert page.run(seen)


def test_without_scripts_it_is_whole(page, path):
    page.allow_scripts(False)
    page.open(path, width=1280)
    assert page.run("document.querySelectorAll('button').length") == 0
    assert page.run("document.querySelectorAll('section h2').length") == 8
    assert page.run(_FIRST_CLASS) in ("cat", "dog", "fox")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(page, path, scheme):
    page.emulate(scheme=scheme)
    page.open(path, width=1280)
    ratio, text = page.run(_LOWEST_CONTRAST)
    assert ratio >= 4.5, text
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, ground[4:-1].split(","))) < 3 * 128
    assert dark == (scheme == "dark")


def test_on_paper_nothing_is_cut_off(page, path):
    page.emulate(media="print")
    page.open(path, width=720)  # A4 less its margins
    assert page.run("document.documentElement.scrollWidth") == 720
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
