// A tour of five steps for a first visit; once closed, it never comes by itself again.
const SEEN = "hfvae-tour"; // in the browser's local storage
const STEPS = [["draw", "#pad"], ["draw", "#votes"], ["sliders", "#sliders"], ["map", "#map"], ["compare", "#compare-widget"]];
const tour = find("#tour");
const openedTab = () => document.querySelector("[role=tab][aria-selected=true]")?.dataset.tabId;
let place = 0;

function showStep() {
  const [tab, target] = STEPS[place];
  if (tab !== openedTab()) hf.openTab(tab);
  find(".hf-tour-text").textContent = hf.t(`tour.${place + 1}`, { item: hf.state.model.item, items: hf.state.model.items });
  find(".hf-tour-place").textContent = `${place + 1} / ${STEPS.length}`;
  find("[data-do=next]").textContent = hf.t(place < STEPS.length - 1 ? "tour.next" : "tour.done");
  document.querySelector(".hf-toured")?.classList.remove("hf-toured");
  requestAnimationFrame(() => document.querySelector(target)?.classList.add("hf-toured"));
}
function openTour() {
  place = 0;
  tour.hidden = false;
  showStep();
}
function closeTour() {
  tour.hidden = true;
  document.querySelector(".hf-toured")?.classList.remove("hf-toured");
  localStorage.setItem(SEEN, "closed");
  hf.openTab("draw");
}
find("[data-do=next]").addEventListener("click", () => {
  place += 1;
  if (place < STEPS.length) showStep();
  else closeTour();
});
find("[data-do=skip]").addEventListener("click", closeTour);
find("[data-do=tour]").addEventListener("click", openTour);
document.addEventListener("keydown", (event) => event.key === "Escape" && !tour.hidden && closeTour());
if (!localStorage.getItem(SEEN) && hf.state.origin === null && !hf.link.tab) {
  const ready = () => {
    if (!document.documentElement.dataset.ready) setTimeout(ready, 200);
    else if (openedTab() === "draw") openTour(); // else the visitor knows the way
  };
  ready();
}
