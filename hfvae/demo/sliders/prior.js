// Draws from the prior: any, those of one class, or from N(0, I) instead.
const COUNT = 24;
const ANY = "";
const grid = find("#prior");
const standard = find("[data-do=standard]");
const label = find("[data-do=label]");
let seed = hf.newSeed(); // of the draws, which the temperature scales

// Draws follow the temperature while it moves; only the latest ones count.
const update = hf.latest(
  async ({ model, seed, temperature, standard, label }) => {
    const ofClass = (request) => server.class_draws({ ...request, label: Number(label) });
    const drawn = label === ANY ? hf.draws(server.draws, COUNT, seed, temperature, standard) : hf.askDraws(ofClass, COUNT, seed, temperature);
    const { points, images, ...refusal } = await drawn;
    return points ? { points, ...(images ? { images } : await hf.decodeAll(points)) } : refusal;
  },
  ({ points, images }) => {
    if (!images) return;
    const pick = (i) => {
      hf.setZ(points[i], "prior", images[i]);
      hf.link.pin();
    };
    hf.renderStrip(grid, images, (i) => hf.t("prior.pick", { number: i + 1 }), pick);
    find(".hf-none").textContent = points.length < COUNT && label.value !== ANY ? hf.t("prior.few", { count: points.length }) : "";
  },
);
const show = () => update({
  model: hf.state.model.name, seed, temperature: hf.state.temperature, standard: standard.checked, label: label.value,
});
function renew() {
  seed = hf.newSeed();
  show();
}
function adopt() {
  const { prior, item, items, tempered, drawsInBrowser, hasMap, classes } = hf.state.model;
  find(".hf-prior-title").textContent = hf.t("prior.title", { items });
  find(".hf-prior-note").textContent = hf.t(tempered ? "prior.note.tempered" : "prior.note", { prior });
  find(".hf-standard").hidden = drawsInBrowser;
  find(".hf-give").hidden = !hasMap;
  find(".hf-give-text").textContent = hf.t("prior.give", { item });
  label.replaceChildren(new Option(hf.t("prior.any"), ANY), ...classes.map((name, i) => new Option(name, i)));
  standard.checked = false;
  renew();
}
find("[data-do=renew]").addEventListener("click", renew);
standard.addEventListener("change", () => {
  label.value = ANY;
  show();
});
label.addEventListener("change", () => {
  standard.checked = false;
  show();
});
hf.listen((what) => {
  if (what === "model") adopt();
  else if (what === "temperature") show();
});
adopt();
