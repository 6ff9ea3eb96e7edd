// The model picker, the link, the card, and what is wrong.
const picker = find("#model");
const copy = find("[data-do=link]");
const hub = find(".hf-hub");
const cards = document.head.appendChild(document.createElement("style")); // hides the other models' cards

for (const model of hf.state.models) picker.add(new Option(model.title, model.name));
picker.addEventListener("change", () => hf.setModel(picker.value));
find("[data-do=card]").addEventListener("click", () => {
  const card = document.querySelector("#card");
  if (!card.querySelector(`#card-${hf.state.models.indexOf(hf.state.model)}`)?.offsetParent) card.querySelector("button").click();
  card.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
});
hf.copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
    hf.confirm(button, hf.t("copied"));
  } catch {
    hf.say(hf.t("copy.refused", { text })); // an insecure origin, or no permission
  }
};
copy.addEventListener("click", () => {
  if (!hf.link.holdsDrawing()) hf.say(hf.t("link.long"));
  hf.copy(hf.link.address(), copy);
});

function adopt() {
  const { model, models } = hf.state;
  picker.value = model.name;
  find(".hf-problem").textContent = [...props.problems, hf.link.problem].join("\n").trim();
  hub.hidden = !model.page;
  if (model.page) hub.href = model.page;
  cards.textContent = `#card [id^="card-"]:not(#card-${models.indexOf(model)}) { display: none; }`;
}
// The link knows the tab, and a link's tab is opened.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[role=tablist], .overflow-dropdown")) return;
  requestAnimationFrame(() => {
    hf.link.tab = hf.openedTab();
    hf.notify("tab");
    hf.link.write();
  });
});
if (hf.tabs.includes(hf.link.tab)) {
  const { tab } = hf.link;
  const open = () => document.documentElement.dataset.ready ? hf.openTab(tab) : setTimeout(open, 50); // the tabs are there then
  open();
}
hf.listen((what) => {
  if (what === "model") {
    hf.link.problem = "";
    adopt();
  }
});
adopt();
