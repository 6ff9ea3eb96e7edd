// The latent point: moved, decoded, kept, moved back.
import { grey, unpackImages } from "./bytes.js";
import { latest } from "./calls.js";
import { decoderOf } from "./decoder.js";
import { confirm } from "./feedback.js";
import { link } from "./link.js";
import { notify, state } from "./state.js";
import { t } from "./text.js";

/**
 * @typedef {import("./types").Image} Image
 * @typedef {import("./types").Model} Model
 * @typedef {import("./types").Origin} Origin
 */

const MOVE_PAUSE = 500; // milliseconds between two moves that are undone one by one
const MOST_MOVES = 200; // that can be undone

/** @type {import("./types").Server} */
let python; // the server functions that all widgets have
/** @type {string | null} */
let root; // the address of the app, if it has the weights of decoders

const askImage = latest(({ points }) => decodeAll(points, true), ({ images }, { points }) => {
  if (images && !state.exact) show(images[0], points[0] === state.z);
});
const decodeCurrent = () => askImage({ model: state.model.name, points: [state.z] });

/**
 * Show the point that the address names, or the first model's.
 * @param {Model[]} models
 * @param {import("./types").Server} server
 * @param {string | null} address of the app, if it has the weights of decoders
 */
export function startPoint(models, server, address) {
  python = server;
  root = address;
  state.models = models;
  state.model = models[0];
  link.arrive();
  adoptDecoder();
  decodeCurrent();
}

async function adoptDecoder() {
  const { model } = state;
  const decode = await decoderOf(model, root);
  if (model === state.model) state.decode = decode;
}

/** @param {string} name */
export function setModel(name) {
  const model = state.models.find((candidate) => candidate.name === name);
  if (model && model !== state.model) restore(model, null, null, state.drawing);
}

/**
 * Show a model, one of its points (by default its prior's mean) and a drawing at once.
 * @param {Model} model
 * @param {number[] | null} z
 * @param {Origin | null} from
 * @param {string | null} drawing
 */
export function restore(model, z, from, drawing) {
  const [changed, redrawn] = [model !== state.model, drawing !== state.drawing];
  Object.assign(state, { model, drawing, origin: from, exact: false });
  if (changed || redrawn) state.judged = null;
  const own = from === "draw" && state.judged?.z; // an address has rounded numbers
  state.z = state.anchor = own || z || Array.from(model.origin);
  if (changed) {
    Object.assign(state, { image: null, decode: null, ends: { a: null, b: null, c: null } });
    past = future = [];
    adoptDecoder();
  }
  notify(changed ? "model" : "z");
  if (redrawn && !changed) notify("drawing");
  decodeCurrent();
  link.write();
}

/**
 * Move the latent point.
 * @param {number[]} z
 * @param {Origin | null} origin which tab does
 * @param {Image | null} image the point's image, if the caller has it
 */
export function setZ(z, origin, image = null) {
  note(origin);
  state.z = Array.from(z);
  state.origin = origin;
  if (origin !== "sliders" && origin !== "morph") state.anchor = state.z;
  state.exact = false;
  notify("z");
  if (image) show(image, true);
  else decodeCurrent();
  link.write();
}

/**
 * @param {Image} image
 * @param {boolean} exact
 */
function show(image, exact) {
  Object.assign(state, { image, exact });
  notify("image");
}

/**
 * Take Python's answer about the drawing, null for none.
 * @param {import("./types").Judged | null} answer
 * @param {boolean} follow moves the latent point to the drawing's code
 */
export function setJudged(answer, follow = false) {
  state.judged = answer;
  if (answer && follow) setZ(answer.z, "draw", answer.reconstruction);
  notify("judged");
}

/**
 * The images of any latent points, without moving the current one: {images}, {} if the model changed meanwhile, or the
 * server's {error}.
 * @param {number[][]} points
 * @returns {Promise<{ images?: Image[], local?: boolean, error?: string, busy?: boolean }>}
 */
export async function decodeAll(points, urgent = false) {
  const { model, decode } = state;
  if (decode) {
    const images = await decode(points, urgent).catch(() => null);
    if (model !== state.model) return {};
    if (images) return { images: images.map(grey), local: true };
    state.decode = null; // the worker failed: Python decodes from now on
  }
  const answer = await python.decode({ model: model.name, z: points });
  if (model !== state.model) return {};
  return answer?.images ? { images: unpackImages(answer.images) } : answer;
}

/**
 * Keep the current point as an end of the morph.
 * @param {"a" | "b" | "c"} end
 * @param {HTMLElement | null} button
 */
export function keep(end, button) {
  if (!state.exact || !state.image) return;
  state.ends[end] = { z: state.z, image: state.image };
  link.pin();
  confirm(button, t("kept", { end: end.toUpperCase() }));
  notify("ends");
}

// Moves of the latent point by anything but the pad, which undoes strokes.

/** @typedef {{ z: number[], origin: Origin | null }} Move */
/** @type {Move[]} */
let past = [];
/** @type {Move[]} */
let future = [];
let last = 0;
const here = () => ({ z: state.z, origin: state.origin });

export const moves = {
  undo: () => step(past, future),
  redo: () => step(future, past),
  get possible() {
    return { undo: past.length > 0, redo: future.length > 0 };
  },
};

/** @param {Origin | null} origin */
function note(origin) {
  const now = performance.now();
  future = [];
  if (origin === "draw") return;
  if (origin !== state.origin || now - last > MOVE_PAUSE) past.push(here());
  if (past.length > MOST_MOVES) past.shift();
  last = now;
}

/**
 * @param {Move[]} from
 * @param {Move[]} to
 */
function step(from, to) {
  const target = from.pop();
  if (!target) return;
  to.push(here());
  const kept = [past, future];
  [past, future] = [[], []]; // the step itself is not noted
  setZ(target.z, target.origin);
  [past, future] = kept;
  last = 0;
  notify("z");
}
