// The steps from a drawing to its ELBO, with the numbers of the drawing on the pad.
import { latest } from "../page/calls.js";
import { newSeed, normal } from "../page/noise.js";
import { paint } from "../page/pictures.js";
import { decodeAll } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, state, verdict } from "../page/state.js";
import { number, t } from "../page/text.js";

const SHOWN = 4; // latents in the tables

export default widget(({ find }) => {
  const how = find("#how", HTMLDetailsElement);
  const [input, output] = [".hf-how-seen", ".hf-how-decoded"].map((place) => find(place, HTMLCanvasElement));
  let noise = newSeed(); // of the draw on show
  /** @type {import("../page/types").Judged | null} */
  let told = null; // the answer whose numbers are on show

  const decodeDraw = latest(({ points }) => decodeAll(points), ({ images }) => {
    if (images) paint(output, images[0]);
  });

  /**
   * @param {string} place
   * @param {[string, number[]][]} rows
   * @param {number[]} latents
   */
  function table(place, rows, latents) {
    /** @type {(tag: string, texts: string[]) => HTMLElement[]} */
    const cells = (tag, texts) => texts.map((text) => Object.assign(document.createElement(tag), { textContent: text }));
    /** @param {string[]} texts */
    const row = (texts, head = false) => {
      const line = document.createElement("tr");
      line.append(...cells("th", [texts[0]]), ...cells(head ? "th" : "td", texts.slice(1)));
      return line;
    };
    /** @param {number[]} values */
    const numbers = (values) => latents.map((latent) => number(values[latent], 2));
    const head = row(["", ...latents.map((latent) => `z${latent + 1}`)], true);
    find(place).replaceChildren(head, ...rows.map(([name, values]) => row([name, ...numbers(values)])));
  }

  function show() {
    const { judged, model } = state;
    told = verdict();
    const explained = told?.std ? told : null;
    find(".hf-how-empty").hidden = Boolean(explained);
    find(".hf-how-empty").textContent = t(!judged ? "how.empty" : told ? "how.no_std" : "moved");
    find(".hf-steps").hidden = !explained;
    find(".hf-how-code-image").textContent = `x = hfvae.sketch.to_digit(drawing)[None, None]${model.binary ? ".bernoulli()" : ""}`;
    if (!explained || !how.open) return;
    const { z: mean, seen, rate, distortion, elbo } = explained;
    const std = explained.std ?? [];
    const epsilon = normal(noise, model.latentDim);
    const z = mean.map((value, i) => value + std[i] * epsilon[i]);
    const latents = model.ranking.slice(0, SHOWN);
    paint(input, seen);
    table(".hf-how-posterior", [["μ", mean], ["σ", std]], latents);
    table(".hf-how-draw", [["ε", epsilon], ["z", z]], latents);
    decodeDraw({ model: model.name, points: [z] });
    find(".hf-how-elbo").textContent = t("how.numbers", {
      distortion: number(-distortion, 1), rate: number(rate, 1), elbo: number(elbo, 1), protocol: model.protocol,
    });
  }
  find("[data-do=epsilon]").addEventListener("click", () => {
    noise = newSeed();
    show();
  });
  how.addEventListener("toggle", show);
  input.ariaLabel = t("seen.title");
  output.ariaLabel = t("reconstruction.title");
  listen((what) => {
    if (what === "judged" || what === "model" || (what === "z" && verdict() !== told)) show();
  });
  show();
});
