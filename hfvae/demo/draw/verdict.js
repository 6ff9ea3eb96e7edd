// What the model makes of the drawing, in words, bars and numbers.
import { colours } from "../page/atlas.js";
import { number, t } from "../page/text.js";

/**
 * @typedef {import("../page/types").Find} Find
 * @typedef {import("../page/types").Judged} Judged
 * @typedef {import("../page/types").Model} Model
 */

const MAX_BARS = 10; // classes whose probabilities are shown at once
const COST_SCALE = 60; // nats that the bar of costs shows at least
const UNUSUAL = 5; // percent of the test images below which a drawing is unlike them

/**
 * @param {Find} find
 * @param {Model} model
 * @param {Judged | null} answer
 * @param {string | null} none the key of the text in place of an answer; null for an empty pad
 */
export function showVerdict(find, model, answer, none) {
  const names = { item: model.item, items: model.items, count: model.latentDim };
  const share = answer?.percentile;
  find("#percentile", HTMLMeterElement).value = share ?? 0;
  find(".hf-percentile").textContent = !answer
    ? t(none ?? "percentile.empty", names)
    : share == null
      ? t("percentile.unknown")
      : t(share < UNUSUAL ? "percentile.unusual" : "percentile.share", { ...names, share: number(share, share < 10 ? 1 : 0) });
  const reading = answer?.reading ?? [];
  const surest = Math.max(...reading);
  showBars(find("#votes"), model.classes, reading);
  find(".hf-voted").textContent = !answer
    ? t(none ?? "votes.empty")
    : reading.length
      ? t(`votes.${model.readBy}`, { ...names, name: model.classes[reading.indexOf(surest)], share: number(100 * surest) })
      : t("votes.unknown");
  showCosts(find, answer);
}

/**
 * Rate and distortion on one scale: what the code costs, and what it misses. The distortion of densities may be negative,
 * since they have no upper bound of 1; then the rate stands alone.
 * @param {Find} find
 * @param {Judged | null} answer
 */
function showCosts(find, answer) {
  find(".hf-costs").hidden = !answer;
  if (!answer) return;
  const { rate, distortion, elbo } = answer;
  const all = Math.max(COST_SCALE, rate + Math.max(0, distortion));
  find(".hf-rate").style.width = `${(100 * rate) / all}%`;
  find(".hf-distortion").style.width = `${(100 * Math.max(0, distortion)) / all}%`;
  find(".hf-cost").textContent = t("costs.sentence", {
    rate: number(rate, 1), bits: number(rate / Math.LN2), distortion: number(distortion, 1), elbo: number(elbo, 1),
  });
}

/**
 * A bar for each class, or, where there are too many, for the likeliest.
 * @param {HTMLElement} container
 * @param {string[]} classes
 * @param {number[]} reading
 */
function showBars(container, classes, reading) {
  const palette = colours(classes.length);
  /** @param {number} label */
  const likely = (label) => -(reading[label] ?? 0);
  const labels = classes.map((_, label) => label);
  const shown = classes.length <= MAX_BARS ? labels : labels.sort((a, b) => likely(a) - likely(b)).slice(0, MAX_BARS);
  const bars = shown.map((label) => {
    const bar = Object.assign(document.createElement("span"), { title: classes[label] });
    bar.style.setProperty("--class-colour", palette[label]);
    bar.style.setProperty("--share", String(reading[label] ?? 0));
    bar.append(document.createElement("i"), classes[label].slice(0, 3));
    return bar;
  });
  container.replaceChildren(...bars);
}
