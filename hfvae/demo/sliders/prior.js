// Draws from the prior: any, those of one class, or from N(0, I) instead.
import { latest } from "../page/calls.js";
import { askDraws, draws } from "../page/draws.js";
import { link } from "../page/link.js";
import { newSeed } from "../page/noise.js";
import { renderStrip } from "../page/pictures.js";
import { decodeAll, setZ } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, state } from "../page/state.js";
import { t } from "../page/text.js";

const COUNT = 24;
const ANY = "";

export default widget(({ find, server }) => {
  const grid = find("#prior");
  const standard = find("[data-do=standard]", HTMLInputElement);
  const label = find("[data-do=label]", HTMLSelectElement);
  let seed = newSeed(); // of the draws, which the temperature scales

  // Draws follow the temperature while it moves; only the latest ones count.
  const update = latest(
    async ({ model, seed, temperature, standard, label }) => {
      /** @type {import("../page/types").Call} */
      const ofClass = (request) => server.class_draws({ ...request, label: Number(label) });
      const drawn = label === ANY ? draws(server.draws, COUNT, seed, temperature, standard) : askDraws(ofClass, COUNT, seed, temperature);
      const { points, images, ...refusal } = await drawn;
      return points ? { points, ...(images ? { images } : await decodeAll(points)) } : refusal;
    },
    ({ points, images }) => {
      if (!images) return;
      /** @param {number} i */
      const pick = (i) => {
        setZ(points[i], "prior", images[i]);
        link.pin();
      };
      renderStrip(grid, images, (i) => t("prior.pick", { number: i + 1 }), pick);
      find(".hf-none").textContent = points.length < COUNT && label.value !== ANY ? t("prior.few", { count: points.length }) : "";
    },
  );
  const show = () => update({
    model: state.model.name, seed, temperature: state.temperature, standard: standard.checked, label: label.value,
  });
  function renew() {
    seed = newSeed();
    show();
  }
  function adopt() {
    const { prior, item, items, tempered, drawsInBrowser, hasMap, classes } = state.model;
    find(".hf-prior-title").textContent = t("prior.title", { items });
    find(".hf-prior-note").textContent = t(tempered ? "prior.note.tempered" : "prior.note", { prior });
    find(".hf-standard").hidden = drawsInBrowser;
    find(".hf-give").hidden = !hasMap;
    find(".hf-give-text").textContent = t("prior.give", { item });
    label.replaceChildren(new Option(t("prior.any"), ANY), ...classes.map((name, i) => new Option(name, String(i))));
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
  listen((what) => {
    if (what === "model") adopt();
    else if (what === "temperature") show();
  });
  adopt();
});
