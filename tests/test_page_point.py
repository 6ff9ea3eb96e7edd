"""One latent point of one model in all tabs, in a real Chromium: moves, models, links."""

from __future__ import annotations

from typing import Any

import pytest
from person import BLANK, CONV, DENSE, Person
from support import App, close

from hfvae import VAE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_all_tabs_show_the_drawings_point(person: Person, model: str) -> None:
    person.choose(model)
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", BLANK)
    shown = person.settled("#reconstruction")
    person.press("Edit with sliders")
    assert person.settled("#generated") == shown
    assert person.values() == pytest.approx(person.z, abs=1e-5)
    person.open_map()
    person.wait_for_change("#decoded", BLANK)
    assert person.settled("#decoded") == shown


def test_leaving_the_drawing_and_coming_back(person: Person) -> None:
    person.choose(DENSE)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    drawn = person.settled("#reconstruction")
    person.open("Sliders")
    person.press("Centre")
    mean = person.settled("#generated")
    person.open("Draw")
    assert person.settled("#reconstruction") == mean != drawn
    assert "Sampled from the model's prior" in person.page.locator(".hf-source").inner_text()
    person.press("Back to the drawing")
    person.wait_for_change("#reconstruction", mean)
    assert person.settled("#reconstruction") == drawn


def test_a_late_answer_moves_nothing_back(person: Person) -> None:
    person.choose(DENSE)
    person.page.evaluate(
        """() => {
            const fetched = window.fetch;
            window.fetch = async (...request) => {
                const answer = await fetched(...request);
                if (String(request[1]?.body).includes("reconstruct")) {
                    await new Promise((go) => setTimeout(go, 1000));
                    window.late = (window.late ?? 0) + 1;
                }
                return answer;
            };
        }"""
    )
    person.draw((140, 40), (140, 240))
    person.open("Sliders")
    person.press("Random draw")
    z = person.z
    person.open("Draw")
    person.wait_for_change("#seen", BLANK)
    person.page.wait_for_function("window.late > 0")
    person.next_frame()
    assert person.z == z
    person.press("Back to the drawing")
    person.page.wait_for_function("(z) => hfvae.state.z[0] !== z", arg=z[0])


def test_a_map_that_came_while_another_model_was_on_show(app: App, browser: Any) -> None:
    """Its answer was once thrown away, and the page then waited for it for ever."""
    page = browser.new_context().new_page()
    page.add_init_script(
        """
        const fetched = window.fetch;
        window.fetch = async (...request) => {
            if (String(request[1]?.body).includes("atlas")) await new Promise((go) => (window.let_go ??= []).push(go));
            return fetched(...request);
        };
        """
    )
    person = Person(page, app.url)
    first = person.page.locator("#model").input_value()
    person.page.wait_for_function("window.let_go?.length")
    person.choose(DENSE if first == CONV else CONV)
    with page.expect_response(lambda response: "atlas" in (response.request.post_data or "")):
        person.page.evaluate("let_go.shift()()")
    person.choose(first)
    person.open_map()
    person.page.context.close()


def test_switching_the_model(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    two = person.settled("#reconstruction")
    person.choose(CONV)
    person.wait_for_change("#reconstruction", two)
    assert close(person.settled("#reconstruction"), vaes[CONV], person.z)
    person.open("Sliders")
    inputs = person.page.locator("#sliders input[type=range]")
    assert inputs.count() == 32
    assert person.page.locator("#sliders input[type=range]:visible").count() == 10
    assert person.page.locator("#sliders .hf-dead").count() == 0
    person.press("Show the 22 less active latents")
    assert person.page.locator("#sliders input[type=range]:visible").count() == 32
    person.open_map()
    assert "t-SNE" in person.page.locator(".hf-map-note").inner_text()
    person.choose(DENSE)
    assert "Any place can be decoded" in person.page.locator(".hf-map-note").inner_text()
    person.open("Sliders")
    assert inputs.count() == 2


def test_the_card_of_the_model_on_show(person: Person) -> None:
    person.choose(DENSE)
    person.press("Model card")
    person.page.get_by_role("heading", name=DENSE).wait_for()
    assert person.page.get_by_role("heading", name=CONV).is_hidden()
    person.choose(CONV)
    person.page.get_by_role("heading", name=CONV).wait_for()
    assert person.page.get_by_role("heading", name=DENSE).is_hidden()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?model=nobody/nothing&z=1,2", "not on show here"),
        (f"?model={DENSE}&z=1,2,3", "it needs 2 numbers"),
        (f"?model={DENSE}&z=1e30,0", "it needs 2 numbers"),
        (f"?model={DENSE}&z=999,999", "it needs 2 numbers"),
        (f"?model={DENSE}&z=<script>,0", "it needs 2 numbers"),
        (f"?model={DENSE}&z=1abc,0x10", "it needs 2 numbers"),
        (f"?model={DENSE}&z=0x10,1", "it needs 2 numbers"),
        (f"?model={DENSE}&z=1,", "it needs 2 numbers"),
        (f"?model={DENSE}&drawing=<b>", "cannot be read"),
        (f"?model={DENSE}&z=1,2&drawing=0m2i1y-", "cannot be read"),
        (f"?model={DENSE}&z=1,2&by=draw&drawing=Iabc", "cannot be read"),
    ],
)
def test_a_bad_link_is_said(app: App, browser: Any, query: str, said: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(app.url + query)
    page.wait_for_function("document.documentElement.dataset.ready")
    page.get_by_text(said).wait_for()
    context.close()
