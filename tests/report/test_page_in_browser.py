"""The report in Debian's chromium, driven by playwright: it works, alone, in both themes, at both widths."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.make_report import main
from rnngen.ink.read_strokes import read_ink
from tests.tiny_results import EXPERIMENTS, TEXT_ONLY, write_results

CHROMIUM = shutil.which("chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
AXE = Path(__file__).with_name("axe.min.js")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with everything in it."""
    folder = write_results(tmp_path_factory.mktemp("report") / "results")
    main(
        folder, json.dumps(EXPERIMENTS), "demo", folder / "report.html", writer=folder / "models" / "synthesis" / "none"
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def open_page(browser, path, complaints, width=1440, theme="light", motion="reduce"):
    """A new page; what it complains of, and what it asks of any network, goes into `complaints`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion=motion, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(300_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(r.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    wait_for_the_pen(page)
    return page


def wait_for_the_pen(page):
    """The network writes in a worker."""
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")


@pytest.fixture
def opened(browser):
    """Opens pages of a test's own."""
    complaints, pages = [], []

    def open_one(path, **options):
        pages.append(open_page(browser, path, complaints, **options))
        return pages[-1]

    yield open_one
    for page in pages:
        page.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def shared(browser, report):
    complaints = []
    return open_page(browser, report, complaints), complaints


@pytest.fixture
def page(shared):
    """One page for all tests that need not find it untouched; nothing moves by itself."""
    yield shared[0]
    assert shared[1] == []


def ink(page, stage):
    """All that is drawn on a sheet, once it is."""
    wait_for_the_pen(page)
    return page.locator(f"{stage} .ink path").evaluate_all("paths => paths.map(p => p.getAttribute('d') ?? '').join()")


def test_a_line_writes_itself_and_can_be_paused(opened, report):
    page = opened(report, motion="no-preference")
    at, play, speed = (page.locator(f"#live .{name}") for name in ("at", "play", "speed"))
    stands = "document.querySelector('#live .at').value"
    page.wait_for_function(f"() => {stands} > 0")  # it begins by itself
    at.press("Home")
    assert at.input_value() == "0" and play.text_content() == "Play"
    start = ink(page, "#live")
    speed.select_option("0.25")  # slow beside whatever this machine does between two of the steps below
    play.click()
    assert play.text_content() == "Pause"
    page.wait_for_function(f"() => {stands} > 3")
    play.click()
    stood, drawn = at.input_value(), ink(page, "#live")
    assert drawn != start and play.text_content() == "Play"
    page.wait_for_timeout(300)
    assert at.input_value() == stood and ink(page, "#live") == drawn
    speed.select_option("10")
    play.click()
    page.wait_for_function("() => { const at = document.querySelector('#live .at'); return at.value === at.max; }")
    page.wait_for_function("() => document.querySelector('#live .play').textContent === 'Play'")


def test_reduced_motion_shows_the_whole_line_at_once(page):
    assert page.locator("#live .play").text_content() == "Play"
    assert page.locator("#live .at").input_value() == page.locator("#live .at").get_attribute("max")


def test_text_bias_seed_style_and_pen_change_the_line(page):
    seen = [ink(page, "#live .live-stage")]
    page.fill("#live-text", "hello")
    page.click("#live button[type=submit]")
    seen.append(ink(page, "#live .live-stage"))
    page.locator("#live-bias").fill("2")
    page.locator("#live-bias").dispatch_event("change")
    seen.append(ink(page, "#live .live-stage"))
    page.click("#live .another")
    seen.append(ink(page, "#live .live-stage"))
    page.locator("#live input[name=style]").nth(2).check()
    seen.append(ink(page, "#live .live-stage"))
    assert len(set(seen)) == 5 and all(seen)
    assert "--seed 2" in page.locator("#live .command code").first.text_content()
    page.locator("#live-pen").fill("1")
    before = page.locator("#live .ink").get_attribute("stroke-width")
    page.locator("#live-pen").fill("2")
    assert float(page.locator("#live .ink").get_attribute("stroke-width")) == pytest.approx(2 * float(before), rel=0.02)


def test_what_the_alphabet_lacks_is_named(page):
    page.fill("#live-text", "héllo Ω")
    page.click("#live button[type=submit]")
    wait_for_the_pen(page)
    note = page.locator("#live > .note").text_content()
    assert "Ω" in note and "é" in note


def test_svg_download(page):
    with page.expect_download() as download:
        page.click("#live .svg")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<svg") and text.count("<path") > 3 and 'fill="none"' in text


def test_a_point_says_what_was_expected_there(page):
    at = page.locator("#live .at")
    at.focus()
    at.press("Home")
    at.press("ArrowRight")
    reading = page.locator("#live .reading").text_content()
    assert reading.startswith("Point 2 of") and "the window is on" in reading and "the pen lifts" in reading
    assert page.locator("#live .density ellipse").count() >= 2
    assert page.locator("#live .letters span[style]").count() > 0
    assert page.locator("#live .lens").is_visible()
    at.press("End")
    path = page.locator("#live .ink path").first.bounding_box()
    page.mouse.move(path["x"] + 1, path["y"] + 1)
    page.mouse.move(path["x"] + 3, path["y"] + 2)
    assert page.locator("#live .density ellipse").count() >= 2


def test_the_attention_map_scrubs_with_the_pen(page):
    page.locator("#gallery .map").scroll_into_view_if_needed()
    box = page.locator("#gallery .map").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 5)
    early = int(page.locator("#gallery .at").input_value())
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 5)
    assert 0 < early < int(page.locator("#gallery .at").input_value())


def test_lines_of_the_run_can_be_chosen(page):
    first = ink(page, "#gallery")
    page.locator("#gallery .line").last.click()
    assert ink(page, "#gallery") != first
    assert "did not write it" in page.locator("#gallery .caption").text_content()


def test_a_line_brings_the_outputs_of_its_own_network(page):
    page.locator("#gallery .line").nth(-2).click()
    at = page.locator("#gallery .at")
    at.press("Home")
    at.press("ArrowRight")
    assert page.locator("#gallery .density ellipse").count() >= 2
    reading = page.locator("#gallery .reading").text_content()
    assert "the pen lifts" in reading and "window" not in reading
    assert "12.5 %" in page.locator("#synthesis").text_content()


def test_the_bias_slider_changes_the_lines(page):
    slider = page.locator("#bias-at")
    seen = []
    slider.focus()
    for bias in ("0", "0.5", "2"):
        assert page.locator("#bias output").text_content() == bias
        seen.append(ink(page, "#bias"))
        slider.press("ArrowRight")
    assert len(set(seen)) == 3


def test_your_own_hand_becomes_a_style(opened, report, tmp_path):
    page = opened(report)  # its own: what is drawn, and so what the network writes, depends on when the mouse moved
    before = ink(page, "#live .live-stage")
    page.click("#live .own summary")
    page.fill("#own-text", "hello")
    sheet = page.locator("#live .own svg").bounding_box()
    for stroke in range(3):
        page.mouse.move(sheet["x"] + 40 + 50 * stroke, sheet["y"] + 60)
        page.mouse.down()
        for step in range(12):
            page.mouse.move(sheet["x"] + 45 + 50 * stroke + 3 * step, sheet["y"] + 60 + 20 * (step % 3))
        page.mouse.up()
    page.click("#live .own .use")
    assert page.locator("input[name=style][value=own]").is_checked()
    assert ink(page, "#live .live-stage") != before
    with page.expect_download() as download:
        page.click("#live .own .save")
    saved = tmp_path / "strokes.json"
    download.value.save_as(saved)
    drawn = read_ink(saved)
    assert len(drawn.strokes) == 3 and drawn.times is not None


def test_tables_sort_and_download(page, report):
    table = page.locator(".table[data-name=table1]")
    column = table.locator("tbody td:nth-child(2)")
    head = table.locator("thead th:nth-child(2) button")
    head.click()
    assert column.all_text_contents() == ["1.5", "10.25", ""]
    head.click()
    assert column.all_text_contents() == ["10.25", "1.5", ""]
    assert table.locator("thead th:nth-child(2)").get_attribute("aria-sort") == "descending"
    with page.expect_download() as download:
        table.locator(".csv").click()
    made = Path(download.value.path()).read_text(encoding="utf-8")
    assert made == (report.parent / "tables" / "table1.csv").read_text(encoding="utf-8")


def test_texts_are_shown_as_texts(page):
    assert "<script>alert(1)</script>" in page.locator("#wikipedia .sample").text_content()
    assert page.locator("#wikipedia .scored").count() == 2
    page.locator("#wikipedia .scored i").first.hover()
    assert page.locator("#surprisal").text_content() == "0.00 bits"


def test_verdicts_of_a_demo_are_never_comparable(page):
    found = set(page.locator("#overview .verdict").all_text_contents())
    assert found == {"not comparable"}


@pytest.mark.parametrize(("width", "theme"), [(375, "dark"), (375, "light"), (1440, "light"), (1440, "dark")])
def test_nothing_sticks_out(opened, report, width, theme):
    page = opened(report, width=width, theme=theme)
    page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if (width, theme) in ((375, "light"), (1440, "dark")):
        return  # roles are as at the other width, contrasts as in the other page of the same theme
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    assert [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"]) for v in found] == []


def test_themes_by_system_and_by_button(opened, report):
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(report, theme=theme) for theme in ("light", "dark"))
    assert light.evaluate(background) != dark.evaluate(background)
    light.click("#theme")
    light.click("#theme")
    assert light.evaluate(background) == dark.evaluate(background)
    assert light.locator("#theme").text_content() == "Theme: dark"


def test_keyboard_reaches_and_works_the_player(page):
    page.locator("#live .speed").select_option("0.25")  # not at the end before it is looked at
    assert int(page.locator("#live .at").get_attribute("max")) > 60
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "play":
            break
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.textContent") == "Pause"


def test_no_script_runs_but_the_pages_own(browser, report, tmp_path):
    """Whatever got into the page: a script, a handler, an address that is a script."""
    injected = tmp_path / "injected.html"
    attacks = """
        <script>window.ran = 'script'</script><script type="module">window.ran = 'module'</script>
        <script src="data:text/javascript,window.ran=1"></script><img src="data:," onerror="window.ran = 'handler'">
        <iframe srcdoc="<script>parent.ran = 'frame'</script>"></iframe>
        <a id="attack" href="javascript:window.ran='link'">x</a>"""
    html = report.read_text(encoding="utf-8")
    injected.write_text(html.replace('<main id="main">', f'<main id="main">{attacks}'), encoding="utf-8")
    complaints = []
    page = open_page(browser, injected, complaints)
    page.click("#attack")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None
    assert len([c for c in complaints if "Content Security Policy" in c]) >= 5
    assert page.locator("#live .ink path").count()  # the page's own went on
    page.context.close()


def test_without_javascript_the_page_says_so_first(browser, report):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    notice = page.locator("noscript .notice")
    box = notice.bounding_box()
    assert "JavaScript is off" in notice.text_content() and box["y"] + box["height"] < 900
    for dead in ("#write", "#handwriting", "#theme", ".curves", ".copy", ".csv", 'nav a[href="#write"]'):
        assert not page.locator(dead).first.is_visible(), dead
    assert (
        page.locator("#tables th button").first.is_visible() and page.locator("#overview .verdict").first.is_visible()
    )
    context.close()


def test_the_whole_navigation_is_shown_on_a_wide_screen(page):
    edges = page.locator("nav li").evaluate_all("all => all.map(li => li.getBoundingClientRect().right)")
    assert max(edges) <= 1440 and page.evaluate(
        "(n => n.scrollWidth <= n.clientWidth)(document.querySelector('nav ul'))"
    )


def test_a_table_wider_than_the_screen_says_so(opened, report):
    cue = "getComputedStyle(document.querySelector('#overview .scroll'), '::before').content"
    narrow, wide = opened(report, width=375), opened(report)
    narrow.wait_for_selector("#overview .scroll.wide")
    assert "scroll sideways" in narrow.evaluate(cue) and wide.evaluate(cue) == "none"


def test_a_sheet_has_as_many_characters_a_line_as_stay_legible(opened, report):
    for width, characters in ((1440, 40), (375, 20)):
        command = opened(report, width=width).locator("#live .command code").first.text_content()
        assert f"--width {characters} " in command


def test_styles_show_the_names_that_the_command_takes(page):
    names = page.locator("#live .style small").all_text_contents()
    page.locator("#live input[name=style]").nth(2).check()
    wait_for_the_pen(page)
    assert names and f"--style {names[0]} " in page.locator("#live .command code").first.text_content()


def test_tables_are_whole_on_paper(opened, report):
    page = opened(report)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 within its margins
    heads = page.locator(".numbers thead th").all()
    assert heads and all(head.is_visible() and head.inner_text().strip() for head in heads)
    assert page.locator("#tables th button").first.is_visible()
    sticking_out = "all => all.filter(t => t.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.locator(".numbers").evaluate_all(sticking_out) == 0
    line = page.locator(".scored").first.evaluate("e => parseFloat(getComputedStyle(e).lineHeight)")
    assert all(
        height <= 17 * line for height in page.locator(".scored").evaluate_all("all => all.map(e => e.clientHeight)")
    )


def test_print_leaves_the_controls_out(page):
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # a browser's own does this; the line must then be whole
    assert page.locator("#live .at").input_value() == page.locator("#live .at").get_attribute("max")
    hidden = not page.locator("nav").is_visible() and not page.locator("#live form").is_visible()
    inked = page.locator("#live .ink").first.is_visible()
    page.emulate_media(media="screen")
    assert hidden and inked


def test_print_is_dark_on_white_in_either_theme(opened, report):
    page = opened(report, theme="dark")
    page.click("#theme")
    page.click("#theme")
    page.emulate_media(media="print")
    colours = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert colours == ["rgb(35, 38, 45)", "rgb(255, 255, 255)"]


def test_a_run_without_handwriting_says_so(opened, tmp_path):
    folder = write_results(tmp_path / "results", TEXT_ONLY)
    main(folder, json.dumps(TEXT_ONLY), "smoke", folder / "report.html")
    page = opened(folder / "report.html")
    assert "no handwriting synthesis experiment" in page.locator("#write").text_content()
    assert "worth looking at" in page.locator(".notice").first.text_content()
    assert page.locator("#handwriting").count() == 0
