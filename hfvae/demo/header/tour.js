// A tour of five steps for a first visit, which follows the visitor; once closed, it never comes by itself again.
import { announce } from "../page/feedback.js";
import { link } from "../page/link.js";
import { listen, state } from "../page/state.js";
import { openTab, openedTab } from "../page/tabs.js";
import { t } from "../page/text.js";

const SEEN = "hfvae-tour"; // in the browser's local storage
const STEPS = [["draw", "#pad"], ["draw", "#votes"], ["sliders", "#sliders"], ["map", "#map"], ["compare", "#compare-widget"]];

/** @param {import("../page/types").Find} find */
export function startTour(find) {
  const tour = find("#tour");
  const texts = find(".hf-tour-texts");
  const opener = find("[data-do=tour]");
  let place = 0;
  /** @type {HTMLElement | null} */
  let before = null; // what had the keyboard's focus before the tour got it

  function showStep(scrolls = false) {
    const [tab, target] = STEPS[place];
    if (openedTab() && tab !== openedTab()) openTab(tab);
    const names = { item: state.model.item, items: state.model.items };
    const step = (/** @type {unknown} */ _, /** @type {number} */ i) =>
      Object.assign(document.createElement("p"), { textContent: t(`tour.${i + 1}`, names), className: i === place ? "hf-current" : "" });
    texts.replaceChildren(...STEPS.map(step));
    find(".hf-tour-place").textContent = `${place + 1} / ${STEPS.length}`;
    find("[data-do=next]").textContent = t(place < STEPS.length - 1 ? "tour.next" : "tour.done");
    unmark();
    announce(t(`tour.${place + 1}`, names));
    mark(target, scrolls);
  }
  /**
   * Outline what a step talks about, as soon as its tab is there.
   * @param {string} target
   * @param {boolean} scrolls brings it into view, too
   */
  function mark(target, scrolls) {
    if (tour.hidden || STEPS[place][1] !== target) return;
    const shown = document.querySelector(target);
    if (!shown?.checkVisibility()) return void setTimeout(mark, 50, target, scrolls);
    shown.classList.add("hf-toured");
    if (scrolls) bringIntoView(shown);
  }
  /**
   * Bring what a step talks about into view, if it is in the window's lower quarter or below, as far as the tour stays there.
   * @param {Element} shown
   */
  function bringIntoView(shown) {
    if (shown.getBoundingClientRect().top > 0.75 * innerHeight) shown.scrollIntoView({ block: "nearest" });
    tour.scrollIntoView({ block: "nearest" });
  }
  const unmark = () => document.querySelector(".hf-toured")?.classList.remove("hf-toured");

  function open(scrolls = false) {
    place = 0;
    tour.hidden = false;
    showStep(scrolls);
  }
  function close() {
    const focused = tour.contains(document.activeElement);
    tour.hidden = true;
    unmark();
    localStorage.setItem(SEEN, "closed");
    if (focused) (before?.checkVisibility() ? before : opener).focus({ preventScroll: true });
  }
  tour.addEventListener("focusin", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && tour.contains(relatedTarget))) before = /** @type {HTMLElement | null} */ (relatedTarget);
  });
  find("[data-do=next]").addEventListener("click", () => {
    place += 1;
    if (place < STEPS.length) return showStep(true);
    openTab("draw");
    close();
  });
  find("[data-do=skip]").addEventListener("click", close);
  opener.addEventListener("click", () => open(true));
  document.addEventListener("keydown", (event) => event.key === "Escape" && !tour.hidden && close());
  listen((what) => {
    if (tour.hidden) return;
    if (what === "drawn" && place === 0) place = 1;
    else if (what === "tab" && STEPS[place][0] !== link.tab) place = Math.max(0, STEPS.findIndex(([tab]) => tab === link.tab));
    else return;
    showStep();
  });
  if (!localStorage.getItem(SEEN) && state.origin === null && !state.drawing && !link.tab) open();
}
