"""The Compare tab in a real Chromium."""

from __future__ import annotations

import pytest
from person import BLANK, CONV, DENSE, Person
from support import close

from hfvae import VAE

pytestmark = pytest.mark.browser


def test_one_drawing_through_several_models(person: Person, vaes: dict[str, VAE]) -> None:
    person.open("Compare")
    person.page.get_by_text("what each model makes of it will appear here").wait_for()
    person.open("Draw")
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")
    person.open("Compare")
    articles = person.page.locator("#compared article")
    articles.nth(2).wait_for()
    assert person.page.locator(".hf-protocols").inner_text().startswith("These models measure likelihood")
    for number in range(3):
        text = articles.nth(number).inner_text()
        assert "looks like 7" in text or "looks like 9" in text
        assert "ELBO" in text
    name = articles.nth(2).locator("h2").inner_text()
    assert name == DENSE
    person.choose(DENSE)
    person.page.wait_for_function("hfvae.state.judged && hfvae.state.exact")
    shown = person.settled("#compared article:nth-child(3)")
    assert close(shown, vaes[DENSE], person.z)
    boxes = person.page.locator(".hf-choice input")
    boxes.nth(1).uncheck()
    articles.nth(2).wait_for(state="detached")
    assert person.page.locator(".hf-protocols").inner_text() == "", "two of one protocol"


def test_draws_by_the_same_seed(person: Person) -> None:
    person.open("Compare")
    person.page.locator("[data-do=what]").select_option("draws")
    strips = person.page.locator("#compared .hf-strip")
    strips.nth(2).wait_for()
    assert strips.nth(0).locator(".hf-cell").count() == 12
    first = person.settled("#compared article:nth-child(1) .hf-cell:nth-child(1)")
    person.page.locator("#compare-widget [data-do=renew]").click()
    person.wait_for_change("#compared article:nth-child(1) .hf-cell:nth-child(1)", first)
    assert CONV in person.page.locator("#compared").inner_text()
