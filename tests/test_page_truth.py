"""What stands beside an image on the page is about that image, or is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from person import BLANK, DENSE, Person
from support import App

pytestmark = pytest.mark.browser
MOVED = "The image shown is not the answer to your drawing."


def draw_a_seven(person: Person) -> None:
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")


def told(person: Person) -> dict[str, Any]:
    """All that the Draw tab says about a drawing and its reconstruction."""
    text = {place: person.page.locator(place).inner_text() for place in (".hf-voted", ".hf-percentile")}
    counts = {place: person.page.locator(place).count() for place in ("#posterior .hf-cell", "#votes span")}
    shown = {place: person.page.locator(place).is_visible() for place in (".hf-costs", ".hf-steps")}
    full = {place: person.pixels(place) != BLANK for place in ("#difference", "#deviation")}
    bars = person.page.evaluate(
        "[...document.querySelectorAll('#votes span')].some((it) => it.style.cssText.match(/--share: [^0]/))"
    )
    return {
        **text,
        **counts,
        **shown,
        **full,
        "bars": bars,
        "percentile": person.page.locator("#percentile").get_attribute("value"),
    }


def opened_up(person: Person) -> dict[str, Any]:
    """The same, with the posterior's panel and the steps open."""
    person.press("How sure is the model?")
    person.page.locator("#posterior .hf-cell").nth(9).wait_for()
    person.page.locator("#how summary").click()
    person.page.locator(".hf-steps").wait_for()
    return told(person)


def slide(person: Person) -> None:
    person.open("Sliders")
    person.page.locator("#sliders input").first.fill("2.5")


def sample(person: Person) -> None:
    person.open("Sliders")
    person.page.locator("#prior .hf-cell").first.click()


def click_the_map(person: Person) -> None:
    person.open_map()
    person.page.mouse.click(*person.point_at("#map canvas", 0.3, 0.4))


@pytest.mark.parametrize("move", [slide, sample, click_the_map])
def test_a_moved_point_has_no_verdict(person: Person, move: Callable[[Person], None]) -> None:
    person.choose(DENSE)
    draw_a_seven(person)
    of_the_drawing = opened_up(person)
    assert "looks like" in of_the_drawing[".hf-voted"]
    assert of_the_drawing["#posterior .hf-cell"] == 10
    move(person)
    person.open("Draw")
    person.settled("#reconstruction")
    moved = told(person)
    assert moved.pop(".hf-voted") == moved.pop(".hf-percentile") == MOVED
    assert moved.pop("#votes span") == 10
    assert moved.pop("percentile") == "0"
    assert not any(moved.values()), moved
    assert person.page.locator(".hf-how-empty").inner_text() == MOVED
    person.press("Back to the drawing")
    person.settled("#reconstruction")
    assert told(person) == of_the_drawing


def test_the_map_shows_the_posterior_of_the_drawing_at_its_own_point(person: Person) -> None:
    person.choose(DENSE)
    draw_a_seven(person)
    person.open_map()
    person.page.locator("[data-do=truth]").check()
    note = person.page.locator(".hf-truth-note")
    note.get_by_text("the encoder loses").wait_for()
    own = person.settled("#map")
    person.page.evaluate("hfvae.setZ(hfvae.state.z.map((it) => it + 1e-4), 'map')")
    assert note.inner_text() == MOVED
    assert person.settled("#map") != own, "neither ellipses nor heat map"
    person.open("Draw")
    person.press("Back to the drawing")
    person.open("Latent map")
    note.get_by_text("the encoder loses").wait_for()
    assert person.settled("#map") == own


def test_an_earlier_drawings_point_is_not_the_present_ones(person: Person) -> None:
    """Undone to the code of a drawing that is gone."""
    person.choose(DENSE)
    draw_a_seven(person)
    seven = person.z
    slide(person)
    person.open("Draw")
    person.press("Clear")
    person.draw((140, 40), (140, 240))
    person.page.wait_for_function("hfvae.state.origin === 'draw'")
    assert "looks like" in person.page.locator(".hf-voted").inner_text()
    person.open("Sliders")
    person.page.locator("#sliders-widget [data-do=undo]").click()
    assert person.z == seven
    person.open("Draw")
    assert person.page.locator(".hf-voted").inner_text() == MOVED
    assert person.page.locator(".hf-source").inner_text() == "An earlier point."


@pytest.mark.parametrize("then", ["draw on", "clear", "compare"])
def test_without_a_server(browser: Any, tmp_path: Path, then: str) -> None:
    app = App(tmp_path / "log", "--model", DENSE)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(context.new_page(), app.url)
    draw_a_seven(person)
    opened_up(person)
    if then == "compare":
        person.open("Compare")
        person.page.locator("#compared article").first.wait_for()
        person.open("Draw")
    app.stop()
    if then == "clear":
        person.press("Clear")
        assert person.page.locator(".hf-voted").inner_text() == "Draw something to see.", "at once"
    else:
        person.draw((60, 140), (220, 140))
        assert person.page.evaluate("'outdated' in document.documentElement.dataset"), "dimmed at once"
        person.page.wait_for_function("!('outdated' in document.documentElement.dataset)", timeout=5000)
        person.page.wait_for_function(
            "!('outdated' in document.querySelector('#posterior-panel').dataset)", timeout=5000
        )
        assert person.page.locator(".hf-voted").inner_text() == "Working…"
    for place in ("#seen", "#reconstruction", "#difference", "#deviation"):
        assert person.pixels(place) == BLANK, place
    gone = told(person)
    assert not any(gone[place] for place in ("#posterior .hf-cell", ".hf-costs", ".hf-steps", "bars"))
    if then == "compare":
        person.open("Compare")
        assert person.page.locator("#compared article").count() == 0
        assert person.page.locator(".hf-compare-empty").inner_text() == "Working…"
    context.close()


# The first visit

NEWCOMER = """
window.verdicts = new Set();
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    const said = document.querySelector(".hf-voted")?.textContent;
    if (said?.includes("looks like")) verdicts.add(said.split(" (")[0]);
}).observe(document, { subtree: true, childList: true, characterData: true }));
"""


@pytest.fixture
def newcomer(app: App, browser: Any) -> Any:
    """The page of somebody who has never been here, as soon as the demonstration draws."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(NEWCOMER)
    page.goto(app.url)
    page.wait_for_function("document.querySelector('.hf-hint.hf-low')")
    yield page
    context.close()


def close_the_tour(page: Any) -> None:
    page.locator("#tour [data-do=skip]").click()


def click_elsewhere(page: Any) -> None:
    page.locator("h1").first.click()


def press_a_key(page: Any) -> None:
    page.keyboard.press("Tab")


def choose_a_model(page: Any) -> None:
    page.locator("#model").select_option(DENSE)


@pytest.mark.parametrize("act", [close_the_tour, click_elsewhere, press_a_key, choose_a_model])
def test_the_demonstration_plays_to_its_end(newcomer: Any, act: Callable[[Any], None]) -> None:
    act(newcomer)
    newcomer.wait_for_function("hfvae.state.judged")
    assert newcomer.evaluate("[...verdicts]") == ["The reconstruction looks like 3"]


@pytest.mark.parametrize("button", ["undo", "clear"])
def test_the_demonstration_can_be_cleared(newcomer: Any, button: str) -> None:
    newcomer.locator(f"[data-do={button}]").first.click()
    newcomer.wait_for_timeout(3000)  # in which it would have gone on
    assert newcomer.evaluate("hfvae.state.ink()") is None
    assert newcomer.evaluate("[...verdicts]") == []


def test_a_point_that_was_moved_during_the_demonstration(newcomer: Any) -> None:
    newcomer.evaluate("hfvae.setZ(hfvae.state.z.map(() => 0.5), 'sliders')")
    newcomer.wait_for_function("hfvae.state.judged")
    assert set(newcomer.evaluate("hfvae.state.z")) == {0.5}
    assert newcomer.evaluate("[...verdicts]") == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_the_tour_covers_nothing(newcomer: Any, width: int, height: int) -> None:
    newcomer.set_viewport_size({"width": width, "height": height})
    tour = newcomer.locator("#tour")
    for visit in ("with tabs that are still empty", "with tabs that are there"):
        for step, target in enumerate(["#pad", "#votes", "#sliders", "#map", "#compare-widget"]):
            assert tour.locator(".hf-tour-place").inner_text() == f"{step + 1} / 5"
            shown = newcomer.locator(f"{target}.hf-toured")
            shown.wait_for()
            newcomer.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
            box, mine = shown.bounding_box(), tour.bounding_box()
            assert mine["y"] > -1, f"the tour can be read, {visit}"
            assert mine["y"] + mine["height"] <= box["y"], "above what it talks about"
            assert box["y"] + min(box["height"], 100) <= height, "which is in view"
            tour.locator("[data-do=next]").click()
        assert tour.is_hidden()
        newcomer.locator("[data-do=tour]").click()


def test_the_tour_follows_the_visitor(newcomer: Any) -> None:
    place = newcomer.locator(".hf-tour-place")
    pad = newcomer.locator("#pad canvas").bounding_box()
    newcomer.mouse.move(pad["x"] + 100, pad["y"] + 60)
    newcomer.mouse.down()
    newcomer.mouse.move(pad["x"] + 100, pad["y"] + 200, steps=5)
    newcomer.mouse.up()
    assert place.inner_text() == "2 / 5", "a drawing is the next step"
    assert newcomer.locator("#pad canvas").bounding_box() == pad, "nothing moves under the pen"
    for tab, step in (("Latent map", 4), ("Sliders", 3), ("Compare", 5)):
        newcomer.get_by_role("tab", name=tab).click()
        newcomer.locator(".hf-tour-place", has_text=f"{step} / 5").wait_for()
    close_the_tour(newcomer)
    assert newcomer.get_by_role("tab", name="Compare").get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("key", ["Escape", "Enter"])
def test_the_tour_gives_the_focus_back(newcomer: Any, key: str) -> None:
    newcomer.locator("#pad").focus()
    newcomer.locator("[data-do=skip]").focus()
    newcomer.keyboard.press(key)
    assert newcomer.locator("#tour").is_hidden()
    assert newcomer.evaluate("document.activeElement.id") == "pad"
    newcomer.locator("[data-do=tour]").focus()
    newcomer.keyboard.press("Enter")
    newcomer.keyboard.press("Escape")
    assert newcomer.evaluate("document.activeElement.dataset.do") == "tour"
