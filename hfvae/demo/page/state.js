// What the tabs share: one model, one latent point, its image, and who is told when they change.

/** @typedef {import("./types").Change} Change */

export const state = {
  /** @type {import("./types").Model[]} */
  models: [],
  /** The model on show, which is there before any widget's function runs. @type {import("./types").Model} */
  model: /** @type {any} */ (null),
  /** The latent point. @type {number[]} */
  z: [],
  /** Who set it; null for the start. @type {import("./types").Origin | null} */
  origin: null,
  /** The point that the sliders started from. @type {number[]} */
  anchor: [],
  /** Its image, as soon as it is decoded. @type {import("./types").Image | null} */
  image: null,
  /** Whether the image is of z, and not of a point that z just left. */
  exact: false,
  /** The model's decoder in this page, if it has one (decoder.js). @type {import("./types").Decode | null} */
  decode: null,
  /** Points that were kept. @type {Record<"a" | "b" | "c", import("./types").End | null>} */
  ends: { a: null, b: null, c: null },
  temperature: 1,
  /** What is on the pad, as text (strokes.js). @type {string | null} */
  drawing: null,
  /** The same as grey levels, base64; the Draw tab sets it. @type {() => string | null} */
  ink: () => null,
  /** Python's answer about the drawing. @type {import("./types").Judged | null} */
  judged: null,
};

/** @type {Set<(what: Change) => void>} */
const listeners = new Set();

/**
 * Every listener is told of every change: "model", "z", "image", "ends", "temperature", "judged", "drawing" (by the
 * history), "drawn" (by the visitor), "tab" or "layout".
 * @param {(what: Change) => void} listener
 */
export const listen = (listener) => listeners.add(listener);

/** @param {Change} what */
export const notify = (what) => listeners.forEach((listener) => listener(what));

/** Python's answer about the drawing if the latent point is the drawing's code: only then it is about the image on show. */
export const verdict = () => (state.judged?.z.every((value, i) => value === state.z[i]) ? state.judged : null);

/** Whether the latent point is another one than the drawing's code. */
export const moved = () => (state.judged ? !verdict() : state.origin !== null && state.origin !== "draw");

/** @param {number} value */
export function setTemperature(value) {
  state.temperature = value;
  notify("temperature");
}
