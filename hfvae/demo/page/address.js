// What the page's address says: model, latent point, tab and drawing.
import { readMarks } from "./strokes.js";

/**
 * @typedef {import("./types").Model} Model
 * @typedef {import("./types").Origin} Origin
 */

const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // Number() alone also takes "", "0x10" and "Infinity"
const PLACES = 5; // of a point's numbers: with 3, images were up to 5 grey levels off
const REACH = 4; // times the sliders' largest value: further out a link's point is a mistake
/** @type {Origin[]} */
const ORIGINS = ["draw", "sliders", "map", "morph", "prior", "arithmetic"];

/**
 * An address with this in its query, in place of what it had; null and "" leave an entry out.
 * @param {string} href
 * @param {{ model: string, z: number[] | null, by: string | null, tab: string | null, drawing: string | null }} said
 */
export function writeAddress(href, { model, z, by, tab, drawing }) {
  const url = new URL(href);
  const point = z && z.map((value) => Number(value.toFixed(PLACES))).join(",");
  for (const [name, value] of Object.entries({ model, z: point, by, tab, drawing })) {
    value ? url.searchParams.set(name, value) : url.searchParams.delete(name);
  }
  return url.href;
}

/**
 * What an address says, and what is wrong with it, as keys of texts and their values. A point is the drawing's own, origin
 * "draw", only beside that drawing.
 * @param {URLSearchParams} query
 * @param {string | null | undefined} kept the history's drawing, which goes before the address's
 * @param {Model[]} models
 * @param {Model} shown the model if the address names none
 * @returns {{ model: Model | null, z: number[] | null, origin: Origin | null, drawing: string | null,
 *   problems: [string, Record<string, any>][] }}
 */
export function readAddress(query, kept, models, shown) {
  const named = query.get("model");
  const model = named === null ? shown : models.find(({ name }) => name === named);
  if (!model) return { model: null, z: null, origin: null, drawing: null, problems: [["link.model", { name: named }]] };
  const text = kept ?? query.get("drawing");
  const drawing = readMarks(text) && text;
  const z = point(query, model);
  const by = ORIGINS.find((origin) => origin === query.get("by"));
  const origin = z && (by && (by !== "draw" || drawing) ? by : "link");
  const { name, latentDim, span } = model;
  /** @type {[string, Record<string, any>][]} */
  const problems = [];
  if (query.has("z") && !z) problems.push(["link.point", { name, count: latentDim, reach: REACH * span }]);
  if (text && !drawing) problems.push(["link.drawing", {}]);
  return { model, z, origin, drawing, problems };
}

/**
 * The latent point of an address, if there is one that fits the model.
 * @param {URLSearchParams} query
 * @param {Model} model
 */
function point(query, { latentDim, span }) {
  const words = query.get("z")?.split(",");
  if (words?.length !== latentDim || !words.every((word) => NUMBER.test(word))) return null;
  const z = words.map(Number);
  return z.every((value) => Math.abs(value) <= REACH * span) ? z : null;
}
