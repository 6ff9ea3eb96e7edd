// A tour of five steps for a first visit, which follows the visitor; once closed, it never comes by itself again.
const SEEN = "hfvae-tour"; // in the browser's local storage
const STEPS = [["draw", "#pad"], ["draw", "#votes"], ["sliders", "#sliders"], ["map", "#map"], ["compare", "#compare-widget"]];
const tour = find("#tour");
const texts = find(".hf-tour-texts");
let place = 0;
let before = null; // what had the keyboard's focus before the tour got it

function showStep() {
  const [tab, target] = STEPS[place];
  if (hf.openedTab() && tab !== hf.openedTab()) hf.openTab(tab);
  const names = { item: hf.state.model.item, items: hf.state.model.items };
  const step = (_, i) => Object.assign(document.createElement("p"), { textContent: hf.t(`tour.${i + 1}`, names), className: i === place ? "hf-current" : "" });
  texts.replaceChildren(...STEPS.map(step));
  find(".hf-tour-place").textContent = `${place + 1} / ${STEPS.length}`;
  find("[data-do=next]").textContent = hf.t(place < STEPS.length - 1 ? "tour.next" : "tour.done");
  unmark();
  hf.announce(hf.t(`tour.${place + 1}`, names));
  mark(target);
}
// Outline what a step talks about, as soon as its tab is there.
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
    if (shown?.getBoundingClientRect().top > 0.75 * innerHeight) shown.scrollIntoView({ block: "nearest" });
  });
}
const unmark = () => document.querySelector(".hf-toured")?.classList.remove("hf-toured");

function openTour() {
  place = 0;
  tour.hidden = false;
  showStep();
}
function closeTour() {
  const focused = tour.contains(document.activeElement);
  tour.hidden = true;
  unmark();
  localStorage.setItem(SEEN, "closed");
  if (focused) (before?.checkVisibility() ? before : find("[data-do=tour]")).focus({ preventScroll: true });
}
tour.addEventListener("focusin", ({ relatedTarget }) => {
  if (!tour.contains(relatedTarget)) before = relatedTarget;
});
find("[data-do=next]").addEventListener("click", () => {
  place += 1;
  if (place < STEPS.length) {
    showStep();
    return bringIntoView();
  }
  hf.openTab("draw");
  closeTour();
});
find("[data-do=skip]").addEventListener("click", closeTour);
find("[data-do=tour]").addEventListener("click", () => {
  openTour();
  bringIntoView();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && !tour.hidden && closeTour());
hf.listen((what) => {
  if (tour.hidden) return;
  if (what === "drawn" && place === 0) place = 1;
  else if (what === "tab" && STEPS[place][0] !== hf.link.tab) place = Math.max(0, STEPS.findIndex(([tab]) => tab === hf.link.tab));
  else return;
  showStep();
});
if (!localStorage.getItem(SEEN) && hf.state.origin === null && !hf.state.drawing && !hf.link.tab) openTour();
