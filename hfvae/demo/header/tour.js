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

  function showStep() {
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
    mark(target);
  }
  /**
   * Outline what a step talks about, as soon as its tab is there.
   * @param {string} target
   */
  function mark(target) {
    if (tour.hidden || STEPS[place][1] !== target) return;
    const shown = document.querySelector(target);
    shown ? shown.classList.add("hf-toured") : setTimeout(mark, 100, target);
  }
  // Bring the tour into view, and what its step talks about if that is below the window's lower quarter.
  function bringIntoView() {
    tour.scrollIntoView({ block: "nearest" });
    requestAnimationFrame(() => {
      const shown = document.querySelector(STEPS[place][1]);
      if (shown && shown.getBoundingClientRect().top > 0.75 * innerHeight) shown.scrollIntoView({ block: "nearest" });
    });
  }
  const unmark = () => document.querySelector(".hf-toured")?.classList.remove("hf-toured");

  function open() {
    place = 0;
    tour.hidden = false;
    showStep();
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
    if (place < STEPS.length) {
      showStep();
      return bringIntoView();
    }
    openTab("draw");
    close();
  });
  find("[data-do=skip]").addEventListener("click", close);
  opener.addEventListener("click", () => {
    open();
    bringIntoView();
  });
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
