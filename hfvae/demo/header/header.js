const picker = find("#model");
const copy = find("[data-do=link]");
const hub = find(".hf-hub");
const cards = document.head.appendChild(document.createElement("style")); // hides the other models' cards

for (const model of hf.state.models) picker.add(new Option(model.title, model.name));
find(".hf-problem").textContent = [...props.problems, hf.state.linkProblem].join("\n").trim();
picker.addEventListener("change", () => hf.setModel(picker.value));
find("[data-do=card]").addEventListener("click", () => {
  const card = document.querySelector("#card");
  if (!card.querySelector(`#card-${hf.state.models.indexOf(hf.state.model)}`)?.offsetParent) card.querySelector("button").click();
  card.scrollIntoView({ behavior: "smooth" });
});
copy.addEventListener("click", async () => {
  const label = copy.textContent;
  try {
    await navigator.clipboard.writeText(hf.link());
    copy.textContent = "Copied";
  } catch {
    hf.say(`This browser does not let pages copy. The link: ${hf.link()}`); // an insecure origin, or no permission
  }
  setTimeout(() => (copy.textContent = label), 1500);
});

function adopt() {
  const { model, models } = hf.state;
  picker.value = model.name;
  find(".hf-trained-on").textContent = `the ${model.item}s of ${model.dataset}`;
  find(".hf-prior").textContent = model.prior;
  hub.hidden = !model.page;
  if (model.page) hub.href = model.page;
  cards.textContent = `#card [id^="card-"]:not(#card-${models.indexOf(model)}) { display: none; }`;
}
hf.listen((what) => what === "model" && adopt());
adopt();
