"""The page in a real browser; skipped where there is no Chromium with its driver."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the serve extra")
pytest.importorskip("selenium", reason="needs selenium to drive a browser")
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from serving import FakePredictor, serving

from stance.serve.service import Limits

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no chromium and chromedriver on this machine"
)

ARTICLE = """Jembatan Ditutup

Bupati membantah kabar itu. 😀 Harga beras naik.

Polri membantah ada korban."""
HOSTILE = (
    "<img src=x onerror=\"document.title='hacked'\"> membantah <b>tebal</b> itu. "
    "</span><script>document.title='hacked'</script> Harga & {{7*7}} naik."
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(driver.downloads)},
    )
    yield driver
    driver.quit()


class Page:
    """What a person does on the page, and what they see."""

    def __init__(self, driver: webdriver.Chrome, port: int) -> None:
        self.driver = driver
        self.address = f"http://127.0.0.1:{port}/"
        self.open()
        driver.execute_script("localStorage.clear()")
        self.open()
        self.find("[data-language=en]").click()

    def open(self) -> None:
        self.driver.get(self.address)
        self.wait(lambda: self.find("#count").text)

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [one.get_property("textContent") for one in found]

    def wait(self, condition) -> None:
        WebDriverWait(self.driver, 10, 0.05).until(lambda _: condition())

    def analyze(self, text: str) -> None:
        # Typed keys cannot hold an emoji; a paste sets the value and says so, as this does.
        self.driver.execute_script(
            "const box = document.getElementById('text'); box.value = arguments[0];"
            "box.dispatchEvent(new Event('input'))",
            text,
        )
        self.find("#analyze").click()
        self.wait(lambda: self.find("#status").text.startswith("Done"))

    def marked(self) -> list[str]:
        """The sentences that the filters leave marked, without marks and tags."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('.sentence:not(.other)')].map((one) => {"
            "const copy = one.cloneNode(true);"
            "copy.querySelectorAll('.unseen, .mark, .tag').forEach((extra) => extra.remove());"
            "return copy.textContent })"
        )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(limits=Limits(max_chars=5_000)) as client:
        yield client.port


@pytest.fixture
def page(driver, port) -> Page:
    return Page(driver, port)


SENTENCES = [
    "Jembatan Ditutup",
    "Bupati membantah kabar itu.",
    "😀 Harga beras naik.",
    "Polri membantah ada korban.",
]


def test_an_article_becomes_marked_sentences(page):
    page.analyze(ARTICLE)
    assert page.marked() == SENTENCES
    assert page.texts(".cue") == ["membantah", "membantah"]
    assert page.texts(".source") == ["Bupati", "Polri"]
    assert page.find(".source").value_of_css_property("font-weight") == "700"
    assert "underline" in page.find(".cue").value_of_css_property("text-decoration")
    assert page.texts(".article .mark") == ["✓", "✗", "✓", "✗"]
    assert page.texts(".article .tag") == ["event"] * 4
    assert "denied, named source" in page.texts(".article .unseen")[1]
    assert len(page.texts(".article p")) == 3


def test_filters_leave_the_rest_readable_but_unmarked(page):
    page.analyze(ARTICLE)
    page.find("input[value=confirmed]").click()
    assert page.marked() == [SENTENCES[1], SENTENCES[3]]
    assert page.find("#shown").text == "2 of 4 sentences marked"
    assert SENTENCES[2] in page.find("#article").text
    Select(page.find("#source")).select_by_visible_text("Polri")
    assert page.marked() == [SENTENCES[3]]
    page.find("#reset").click()
    assert page.marked() == SENTENCES
    page.find("#confidence").send_keys(Keys.END)  # 99 %, and the model says 90 %
    assert page.marked() == []
    assert page.find("#confidence-value").text == "99 %"


def test_the_summary_counts_by_source_and_filters(page):
    page.analyze(ARTICLE)
    rows = [row.split() for row in page.find("#summary").text.splitlines()]
    assert rows == [
        ["Bupati", "·", "·", "1"],
        ["Polri", "·", "·", "1"],
        ["The", "newsroom", "2", "·", "·"],
    ]
    page.find("#summary .newsroom").click()
    assert page.marked() == [SENTENCES[0], SENTENCES[2]]


def downloaded(driver: webdriver.Chrome, name: str) -> str:
    file: Path = driver.downloads / name
    end = time.monotonic() + 10
    while not file.is_file():
        assert time.monotonic() < end, "nothing was downloaded"
        time.sleep(0.05)
    return file.read_text(encoding="utf-8")


def test_downloads_hold_every_sentence(page, driver):
    page.analyze(ARTICLE)
    page.find("input[value=confirmed]").click()
    page.find("#download-jsonl").click()
    records = [json.loads(line) for line in downloaded(driver, "stance.jsonl").splitlines()]
    assert records == [one.to_dict() for one in FakePredictor().analyze(ARTICLE)]
    page.find("#download-html").click()
    html = downloaded(driver, "stance.html")
    assert html.lower().startswith("<!doctype html>")
    assert "Jembatan Ditutup" in html


def test_markup_in_a_text_stays_text(page, driver):
    page.analyze(HOSTILE)
    assert "".join(page.marked()).replace(" ", "") == HOSTILE.replace(" ", "")
    assert driver.title == "stance"
    inside = "#article img, #article script, #summary img, #source img, #article b"
    assert not driver.find_elements(By.CSS_SELECTOR, inside)
    assert page.find("#summary button").text.startswith("<img src=x")
    page.find(".sentence").click()
    assert "<img src=x" in page.find("#detail").text


def test_nothing_is_loaded_from_elsewhere_and_nothing_breaks_the_policy(page, driver):
    page.analyze(ARTICLE)
    loaded = driver.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert len(loaded) >= 4
    assert all(address.startswith(page.address) for address in loaded)
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_language_is_switched_and_remembered(page, driver):
    page.analyze(ARTICLE)
    page.find("[data-language=id]").click()
    assert page.find("#analyze").text == "Analisis"
    assert page.find("#status").text == "Selesai: 4 kalimat."
    assert "dibantah" in page.find("#filters").text
    page.open()
    assert page.find("#analyze").text == "Analisis"
    assert page.find("html").get_attribute("lang") == "id"
    assert page.find("[data-language=id]").get_attribute("aria-pressed") == "true"


def test_both_languages_say_everything(page, driver):
    missing = driver.execute_async_script(
        "const done = arguments[0];"
        "const keys = (part, path = '') => Object.entries(part).flatMap(([key, value]) =>"
        "  typeof value === 'object' ? keys(value, `${path}${key}.`) : [path + key]);"
        "import('/messages.js').then(({ messages: { id, en } }) => {"
        "  const [one, other] = [new Set(keys(id)), new Set(keys(en))];"
        "  done([...one.symmetricDifference(other)]) })"
    )
    assert missing == []
    assert "undefined" not in page.find("body").text
    assert "" not in page.texts("[data-text]")


def test_a_file_can_be_opened_or_dropped(page, driver, tmp_path):
    file = tmp_path / "artikel.txt"
    file.write_text(ARTICLE, encoding="utf-8")
    page.find("#file").send_keys(str(file))
    page.wait(lambda: page.find("#status").text == "Done: 4 sentences.")
    drop = (
        "const data = new DataTransfer();"
        "data.items.add(new File([new Uint8Array(arguments[0])], 'a.txt'));"
        "document.dispatchEvent(new DragEvent('drop', { dataTransfer: data }))"
    )
    driver.execute_script(drop, list(b"Harga beras naik."))
    page.wait(lambda: page.find("#status").text == "Done: 1 sentence.")
    driver.execute_script(drop, [0xFF, 0xFE, 0x00])
    page.wait(lambda: "not UTF-8" in page.find("#status").text)
    driver.execute_script(drop, list(b"a" * 20_001))
    page.wait(lambda: "5,000 characters" in page.find("#status").text)


def test_everything_can_be_done_from_the_keyboard(page, driver):
    box = page.find("#text")
    box.send_keys("Polri membantah. Harga naik.", Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page.find("#status").text == "Done: 2 sentences.")
    assert driver.switch_to.active_element.get_attribute("id") == "results"
    driver.switch_to.active_element.send_keys(Keys.TAB)
    assert "Polri" in driver.switch_to.active_element.text
    assert "90 %" in page.find("#detail").text
    driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert "Harga" in driver.switch_to.active_element.text
    driver.switch_to.active_element.send_keys(Keys.TAB)  # one stop, however long the article
    assert driver.switch_to.active_element.tag_name == "input"


def test_every_control_has_a_name(page, driver):
    page.analyze(ARTICLE)
    controls = driver.find_elements(By.CSS_SELECTOR, "button, input, select, textarea, a")
    assert len(controls) > 15
    for control in controls:
        assert control.accessible_name.strip(), control.get_attribute("outerHTML")


CONTRASTS = """
const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const parse = (color) => {
  paint.clearRect(0, 0, 1, 1); paint.fillStyle = color; paint.fillRect(0, 0, 1, 1);
  return [...paint.getImageData(0, 0, 1, 1).data];
};
const light = (color) => color.slice(0, 3).map((value) => value / 255)
  .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const color = parse(getComputedStyle(node).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const low = [];
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
  if (node.closest('.unseen, option')) continue;
  const [one, other] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) low.push(`${walker.currentNode.data}: ${contrast.toFixed(2)}`);
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_at_least_double_a(page, driver, scheme):
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]
        },
    )
    page.analyze(ARTICLE)
    page.find("input[value=denied]").click()
    assert driver.execute_script(CONTRASTS) == []


def test_a_model_without_spans_shows_no_sources(driver):
    predictor = FakePredictor()
    predictor.bundle = replace(predictor.bundle, spans=())
    with serving(predictor) as client:
        page = Page(driver, client.port)
        page.analyze(ARTICLE)
        assert page.marked() == SENTENCES
        assert not page.find("#by-source").is_displayed()
        assert not page.find("#source").is_displayed()


def test_a_busy_service_is_said_to_be_busy(driver):
    predictor = FakePredictor(each=lambda text: time.sleep(0.3) if "lambat" in text else None)
    with serving(predictor, Limits(timeout=0.1)) as client:
        page = Page(driver, client.port)
        page.find("#text").send_keys("Kereta lambat.")
        page.find("#analyze").click()
        page.wait(lambda: page.find("#status").text.startswith("The service is busy."))
        assert not page.find("#results").is_displayed()
