// The model picker, the link, the card, and what is wrong.
import { copy, say } from "../page/feedback.js";
import { link } from "../page/link.js";
import { setModel } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, notify, state } from "../page/state.js";
import { TABS, openTab, openedTab } from "../page/tabs.js";
import { t } from "../page/text.js";
import { startTour } from "./tour.js";

export default widget(({ find, props }) => {
  const picker = find("#model", HTMLSelectElement);
  const share = find("[data-do=link]");
  const hub = find(".hf-hub", HTMLAnchorElement);
  const cards = document.head.appendChild(document.createElement("style")); // hides the other models' cards

  for (const model of state.models) picker.add(new Option(model.title, model.name));
  picker.addEventListener("change", () => setModel(picker.value));
  find("[data-do=card]").addEventListener("click", () => {
    const card = document.querySelector("#card");
    const shown = card?.querySelector(`#card-${state.models.indexOf(state.model)}`);
    if (!(shown instanceof HTMLElement && shown.offsetParent)) card?.querySelector("button")?.click();
    card?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
  });
  share.addEventListener("click", () => {
    if (!link.holdsDrawing()) say(t("link.long"));
    copy(link.address(), share);
  });

  function adopt() {
    const { model, models } = state;
    picker.value = model.name;
    find(".hf-problem").textContent = [...props.problems, link.problem].join("\n").trim();
    hub.hidden = !model.page;
    if (model.page) hub.href = model.page;
    cards.textContent = `#card [id^="card-"]:not(#card-${models.indexOf(model)}) { display: none; }`;
  }
  // The link knows the tab, and a link's tab is opened.
  document.addEventListener("click", (event) => {
    if (!/** @type {Element} */ (event.target).closest("[role=tablist], .overflow-dropdown")) return;
    requestAnimationFrame(() => {
      link.tab = openedTab();
      notify("tab");
      link.write();
    });
  });
  const { tab } = link;
  if (tab && TABS.includes(tab)) {
    const open = () => document.documentElement.dataset.ready ? openTab(tab) : setTimeout(open, 50);
    open(); // as soon as the tabs are there
  }
  listen((what) => {
    if (what === "model") {
      link.problem = "";
      adopt();
    }
  });
  adopt();
  startTour(find);
});
