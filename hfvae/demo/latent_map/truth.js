// Two latents: the encoder's posterior of the drawing as ellipses, and the exact posterior as a heat map.
import { bytes } from "../page/bytes.js";
import { latest } from "../page/calls.js";
import { newCanvas, penOf } from "../page/pictures.js";
import { state, verdict } from "../page/state.js";
import { number, t } from "../page/text.js";

/**
 * @typedef {{ low: [number, number], extent: number }} Square of latent space
 * @typedef {Square & { of: import("../page/types").Judged, picture: HTMLCanvasElement, logLikelihood: number, elbo: number }} Exact
 */

/**
 * @param {import("../page/types").Find} find
 * @param {import("../page/types").Server} server
 * @param {() => void} changed is called when there is something else to draw
 * @param {(square: Square) => void} lookAt moves the map there
 */
export function makeTruth(find, server, changed, lookAt) {
  const box = find("[data-do=truth]", HTMLInputElement);
  let zooms = false; // whether the map moves to the next answer: it may be a speck
  /** @type {Exact | null} */
  let exact = null; // Python's answer, with its picture, for the drawing `exact.of`

  const request = latest(({ model, ink }) => server.exact_posterior({ model, ink }), (answer, { judged }) => {
    exact = answer.empty ? null : { ...answer, of: judged, picture: picture(answer) };
    if (exact && zooms) lookAt(exact);
    zooms = false;
    explain();
    changed();
  });
  function ask() {
    const { model, ink } = state;
    const judged = verdict();
    explain();
    if (!box.checked || !judged || exact?.of === judged || model.latentDim !== 2) return;
    request({ model: model.name, ink: ink(), judged });
  }
  function reset() {
    exact = null;
    find(".hf-truth").hidden = state.model.latentDim !== 2;
    explain();
  }

  function explain() {
    const { judged, model } = state;
    const note = find(".hf-truth-note");
    if (model.latentDim !== 2 || !box.checked) note.textContent = "";
    else if (!verdict()) note.textContent = t(judged ? "moved" : "truth.empty");
    else if (exact?.of !== judged) note.textContent = t("waiting");
    else {
      const { logLikelihood, elbo } = exact;
      const nats = { truth: number(logLikelihood, 1), elbo: number(elbo, 1), gap: number(logLikelihood - elbo, 1) };
      note.textContent = t("truth.note", nats);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(place: [number, number]) => [number, number]} toPixels
   * @param {number} scale
   */
  function draw(pen, toPixels, scale) {
    const judged = verdict();
    if (!judged) return;
    if (box.checked && exact && exact.of === judged) {
      const { low, extent, picture } = exact;
      const [left, top] = toPixels([low[0], low[1] + extent]);
      pen.drawImage(picture, left, top, extent * scale, extent * scale);
    }
    if (!judged.spread) return;
    const [[a], [b, d]] = judged.spread;
    const [x, y] = judged.z;
    for (const deviations of [1, 2]) {
      const ring = Array.from({ length: 65 }, (_, i) => {
        const [c, s] = [Math.cos((i * Math.PI) / 32), Math.sin((i * Math.PI) / 32)].map((part) => deviations * part);
        return toPixels([x + a * c, y + b * c + d * s]);
      });
      for (const [width, colour] of /** @type {[number, string][]} */ ([[4, "black"], [2, "white"]])) {
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.beginPath();
        ring.forEach((at, i) => (i ? pen.lineTo(...at) : pen.moveTo(...at)));
        pen.stroke();
      }
    }
  }
  box.addEventListener("change", () => {
    zooms = box.checked;
    if (zooms && exact && exact.of === verdict()) lookAt(exact);
    ask();
    changed();
  });
  return { ask, reset, draw };
}

/**
 * The density as an opacity of one colour, x to the right and y upwards.
 * @param {{ density: string, side: number }} answer
 */
function picture({ density, side }) {
  const canvas = newCanvas(side, side);
  const context = penOf(canvas);
  const image = context.createImageData(side, side);
  bytes(density).forEach((level, k) => {
    const [i, j] = [Math.floor(k / side), k % side];
    image.data.set([255, 40, 140, level], 4 * ((side - 1 - j) * side + i));
  });
  context.putImageData(image, 0, 0);
  return canvas;
}
