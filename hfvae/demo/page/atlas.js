// The encoded test set: fetched once a model, laid out in a plane, drawn by class.
import { bytes } from "./bytes.js";
import { retry } from "./calls.js";
import { float16 } from "./float16.js";
import { newCanvas, penOf } from "./pictures.js";
import { notify } from "./state.js";

/**
 * @typedef {object} Layout where the codes are in a plane
 * @property {Float32Array} points x and y of each
 * @property {(z: number[]) => [number, number]} place of any latent point
 * @property {[number, [number, number]][]} names classes, and where the name of each stands: at its median
 * @property {number} reach the largest distance of a point from the middle
 * @property {number} usual that of nearly all points
 *
 * @typedef {Set<number>} Hidden classes that are not shown
 * @typedef {NonNullable<Awaited<ReturnType<typeof fetched>>>} Atlas
 */

const NEAREST = 10; // codes whose places a new point's place is the mean of
// ten colours that colour-blind people can tell apart (Petroff 2021, arXiv 2107.02270)
const TEN = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];
// a mark for each class besides its colour, as paths to fill in a square from -1 to 1
const MARKS = [
  "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0", "M-.9 -.9H.9V.9H-.9", "M0 -1L1 .8H-1", "M0 1L1 -.8H-1", "M0 -1.1L1.1 0L0 1.1L-1.1 0",
  "M-.35 -1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35", "M-1 -1L-.3 0L-1 1H1L.3 0L1 -1", "M-1.1 -.5H1.1V.5H-1.1",
  "M-.5 -1.1H.5V1.1H-.5", "M-1 -1H1L-1 1",
].map((path) => new Path2D(path));

/**
 * A colour for each of `count` classes: evenly spaced hues if there are more than ten.
 * @param {number} count
 */
export function colours(count) {
  return count <= TEN.length ? TEN.slice(0, count) : Array.from({ length: count }, (_, i) => `hsl(${(360 * i) / count} 70% 50%)`);
}

/**
 * A class's mark in its colour, `size` pixels wide.
 * @param {number} label
 * @param {string} colour
 * @param {number} size
 */
export function stamp(label, colour, size) {
  const canvas = newCanvas(size + 2, size + 2);
  const pen = penOf(canvas);
  pen.translate(canvas.width / 2, canvas.height / 2);
  pen.scale(size / 2, size / 2);
  pen.fillStyle = colour;
  pen.fill(MARKS[label % MARKS.length]);
  return canvas;
}

/** @type {Map<string, Promise<Atlas | null>>} model name -> its atlas */
const known = new Map();

/**
 * A model's atlas; null if it has none, or Python refuses.
 * @param {import("./types").Model} model
 * @param {import("./types").Server} server
 */
export function atlasOf(model, server) {
  if (!model.hasMap) return Promise.resolve(null);
  const atlas = known.get(model.name) ?? fetched(model, server);
  known.set(model.name, atlas);
  return atlas;
}

/**
 * The answer is kept, whichever model the page shows when it comes.
 * @param {import("./types").Model} model
 * @param {import("./types").Server} server
 */
async function fetched(model, server) {
  const { answer } = await retry(server.atlas, () => ({ model: model.name }));
  if (!answer.error) return unpack(answer, colours(model.classes.length));
  known.delete(model.name); // asked again when the model is next chosen
  return null;
}

/**
 * @param {Record<"centre" | "directions" | "spread" | "codes" | "labels", string> & { places: string | null }} answer
 * @param {string[]} colours of the classes
 */
function unpack(answer, colours) {
  /** @param {string} text */
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const [centre, directions, spread] = [floats(answer.centre), floats(answer.directions), floats(answer.spread)];
  const codes = float16(bytes(answer.codes).buffer);
  const labels = bytes(answer.labels);
  const dim = centre.length;
  /** @param {number} i */
  const code = (i) => codes.subarray(dim * i, dim * (i + 1));
  /** @param {number} axis */
  const direction = (axis) => Float32Array.from(centre, (_, i) => directions[spread.length * i + axis]);
  const axes = Array.from(spread, (_, axis) => direction(axis));
  /** @type {(axis: number, z: ArrayLike<number>) => number} */
  const along = (axis, z) => axes[axis].reduce((sum, part, i) => sum + (z[i] - centre[i]) * part, 0);

  /** @type {(points: Float32Array, place: Layout["place"]) => Layout} */
  function layout(points, place) {
    /** @type {(_: number, i: number) => number} */
    const fromMiddle = (_, i) => Math.max(Math.abs(points[2 * i]), Math.abs(points[2 * i + 1]));
    const distances = Float32Array.from(labels, fromMiddle).sort();
    /** @type {(label: number, axis: number) => number} */
    const median = (label, axis) => {
      const values = Array.from(labels.keys()).filter((i) => labels[i] === label).map((i) => points[2 * i + axis]);
      return values.sort((a, b) => a - b)[values.length >> 1];
    };
    return {
      points, place,
      names: [...new Set(labels)].map((label) => [label, [median(label, 0), median(label, 1)]]),
      reach: distances[distances.length - 1],
      usual: distances[Math.floor(0.99 * (distances.length - 1))],
    };
  }
  function projected() {
    const points = new Float32Array(2 * labels.length);
    for (let i = 0; i < labels.length; i++) for (const axis of [0, 1]) points[2 * i + axis] = along(axis, code(i));
    return layout(points, (z) => [along(0, z), along(1, z)]);
  }
  /**
   * A point's place is the mean of the places of the nearest codes, weighted by the inverse of their squared distances.
   * @param {Float32Array} places
   */
  function amongNeighbours(places) {
    return layout(places, (z) => {
      /** @type {[number, number][]} */
      const best = []; // [distance, index], the nearest first
      for (let i = 0; i < labels.length; i++) {
        let distance = 0;
        const limit = best[NEAREST - 1]?.[0] ?? Infinity;
        for (let j = dim * i, k = 0; k < dim && distance < limit; k++) distance += (codes[j + k] - z[k]) ** 2;
        if (distance >= limit) continue;
        best.splice(best.findIndex(([other]) => other > distance) >>> 0, 0, [distance, i]);
        best.length = Math.min(best.length, NEAREST);
      }
      const weights = best.map(([distance]) => 1 / (distance + 1e-9));
      const all = weights.reduce((sum, weight) => sum + weight);
      /** @param {number} axis */
      const mean = (axis) => best.reduce((sum, [, i], n) => sum + weights[n] * places[2 * i + axis], 0) / all;
      return [mean(0), mean(1)];
    });
  }
  /** @type {Record<string, Layout>} */
  const layouts = {};
  if (answer.places) layouts.neighbours = amongNeighbours(float16(bytes(answer.places).buffer));
  layouts.directions = projected();

  const [[chosen, first]] = Object.entries(layouts);
  const atlas = {
    labels, colours, axes, spread, code, along, layouts, chosen,
    ...first,
    /** @param {string} name */
    choose(name) {
      Object.assign(atlas, layouts[name], { chosen: name });
      notify("layout");
    },
    /**
     * The number of the nearest point on the map, -1 if all are hidden.
     * @param {number} x
     * @param {number} y
     * @param {Hidden} [hidden]
     */
    nearest(x, y, hidden) {
      const { points } = atlas;
      let best = -1;
      let least = Infinity;
      for (let i = 0; i < labels.length; i++) {
        const distance = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2;
        if (distance < least && !hidden?.has(labels[i])) [best, least] = [i, distance];
      }
      return best;
    },
    /**
     * All points, faint, on a square canvas of their own around the middle.
     * @param {number} side
     * @param {number} scale
     * @param {number} size
     */
    backdrop(side, scale, size) {
      const layer = newCanvas(side, side);
      const brush = penOf(layer);
      brush.globalAlpha = 0.4;
      atlas.draw(brush, [scale, side / 2, side / 2], size);
      return layer;
    },
    /**
     * Draw the points; [scale, x of 0, y of 0] leads from map coordinates to pixels.
     * @param {CanvasRenderingContext2D} context
     * @param {[number, number, number]} toPixels
     * @param {number} size
     * @param {Hidden} [hidden]
     */
    draw(context, [scale, x0, y0], size, hidden) {
      const { points } = atlas;
      const stamps = size >= 4 ? colours.map((colour, label) => stamp(label, colour, Math.round(size))) : null;
      for (let i = 0; i < labels.length; i++) {
        const label = labels[i];
        if (hidden?.has(label)) continue;
        const [x, y] = [x0 + scale * points[2 * i], y0 - scale * points[2 * i + 1]];
        if (stamps) context.drawImage(stamps[label], Math.round(x - stamps[label].width / 2), Math.round(y - stamps[label].width / 2));
        else {
          context.fillStyle = colours[label];
          context.fillRect(x - size / 2, y - size / 2, size, size);
        }
      }
    },
  };
  return atlas;
}
