// The encoded test set by class: hover, click, drag, zoom, fingers and keys.
import { atlasOf, colours, stamp } from "../page/atlas.js";
import { latest } from "../page/calls.js";
import { ARROWS } from "../page/keys.js";
import { link } from "../page/link.js";
import { eventPosition, newCanvas, offerSaving, paint, penOf, ring } from "../page/pictures.js";
import { decodeAll, setZ } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, state, verdict } from "../page/state.js";
import { number, t } from "../page/text.js";
import { makeTruth } from "./truth.js";

/**
 * @typedef {import("../page/atlas").Atlas} Atlas
 * @typedef {[number, number]} Place on the map, or in pixels of its canvas
 * @typedef {{ z: number[], place: Place, nearest: number }} Target a latent point, and the number of the nearest test image
 */

const TILES = 20; // of the backdrop, a side
const CLICK_TOLERANCE = 5; // pixels that a pointer may move in a click
const MAX_ZOOM = 40;

export default widget(({ find, server }) => {
  const frame = find("#map");
  const canvas = find("#map canvas", HTMLCanvasElement);
  const pen = penOf(canvas);
  const decoded = find("#decoded canvas", HTMLCanvasElement);
  const manifold = find("[data-do=manifold]", HTMLInputElement);
  const layouts = find("[data-do=layout]", HTMLSelectElement);
  const layer = newCanvas(0, 0); // backdrop and points, drawn once a view
  const backdrop = newCanvas(0, 0);
  /** @type {Set<number>} */
  const hidden = new Set(); // classes switched off in the legend
  /** @type {Map<number, { at: Place, start: Place, moved?: boolean, pinches?: boolean }>} */
  const pointers = new Map(); // pointer id -> where it is and where it went down
  /** @type {Atlas | null} */
  let atlas = null;
  let view = { x: 0, y: 0, zoom: 1 }; // the map's middle in map coordinates
  /** @type {Target | null} */
  let hovered = null; // the point under the pointer, {z, place, nearest}; null shows the pinned one
  /** @type {{ x: number, y: number, reach: number } | null} */
  let tiled = null; // the view that the backdrop was made for

  // Between map coordinates and the canvas's pixels
  const scale = () => (view.zoom * 0.48 * canvas.width) / (atlas?.reach || 1);
  /** @type {(place: Place) => Place} */
  const toPixels = ([x, y]) => [canvas.width / 2 + (x - view.x) * scale(), canvas.height / 2 - (y - view.y) * scale()];
  /** @type {(place: Place) => Place} */
  const toMap = ([px, py]) => [view.x + (px - canvas.width / 2) / scale(), view.y - (py - canvas.height / 2) / scale()];

  /**
   * The latent point that a place on the map stands for: itself in two dimensions, else the nearest test image's code.
   * @param {Atlas} atlas
   * @param {Place} place
   * @returns {Target | null}
   */
  function latentAt(atlas, [x, y]) {
    const nearest = atlas.nearest(x, y, hidden);
    if (!state.model.projected) return { z: [x, y], place: [x, y], nearest };
    return nearest < 0 ? null : { z: Array.from(atlas.code(nearest)), place: pointAt(atlas, nearest), nearest };
  }
  /** @type {(atlas: Atlas, i: number) => Place} */
  const pointAt = ({ points }, i) => [points[2 * i], points[2 * i + 1]];

  const truth = makeTruth(find, server, compose, ({ low, extent }) => {
    view = { x: low[0] + extent / 2, y: low[1] + extent / 2, zoom: 1 };
    view.zoom = Math.min(MAX_ZOOM, (0.4 * canvas.width) / extent / scale());
    settle();
  });

  // Drawing

  function redraw() {
    const brush = penOf(layer);
    layer.width = canvas.width;
    layer.height = canvas.height;
    if (atlas) {
      if (manifold.checked && tiled) {
        const [left, top] = toPixels([tiled.x - tiled.reach, tiled.y + tiled.reach]);
        brush.imageSmoothingEnabled = false;
        brush.globalAlpha = 0.8;
        brush.drawImage(backdrop, left, top, 2 * tiled.reach * scale(), 2 * tiled.reach * scale());
      }
      brush.globalAlpha = manifold.checked ? 0.45 : 0.7;
      atlas.draw(brush, [scale(), ...toPixels([0, 0])], Math.min(9, 4 + view.zoom / 2), hidden);
      brush.globalAlpha = 1;
      renderNames(brush, atlas);
    }
    compose();
  }

  /**
   * The classes' names at their clusters.
   * @param {CanvasRenderingContext2D} brush
   * @param {Atlas} atlas
   */
  function renderNames(brush, atlas) {
    const { classes } = state.model;
    if (classes.length > 15) return; // they would hide the points
    brush.font = "600 18px system-ui, sans-serif";
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    brush.lineWidth = 4;
    for (const [label, place] of atlas.names) {
      if (hidden.has(label)) continue;
      brush.strokeStyle = "black";
      brush.fillStyle = "white";
      const at = toPixels(place);
      brush.strokeText(classes[label], ...at);
      brush.fillText(classes[label], ...at);
    }
  }

  function compose() {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(layer, 0, 0);
    if (!atlas) return;
    truth.draw(pen, toPixels, scale());
    const [px, py] = toPixels(atlas.place(state.z));
    if (hovered) {
      const [hx, hy] = toPixels(hovered.place);
      if (hovered.nearest >= 0) {
        pen.strokeStyle = atlas.colours[atlas.labels[hovered.nearest]];
        pen.lineWidth = 2;
        pen.beginPath();
        pen.moveTo(hx, hy);
        pen.lineTo(...toPixels(pointAt(atlas, hovered.nearest)));
        pen.stroke();
      }
      ring(pen, hx, hy, 4);
    }
    ring(pen, px, py, verdict()?.spread ? 3 : 8); // ellipses are around it
  }

  const askHovered = latest(({ points }) => decodeAll(points, true), ({ images }) => {
    if (images && hovered) paint(decoded, images[0]);
  });
  function showImage() {
    const { model, image } = state;
    if (hovered) askHovered({ model: model.name, points: [hovered.z] });
    else paint(decoded, image);
  }

  function describe() {
    if (!atlas) return;
    const shown = hovered ?? latentHere(atlas);
    const [x, y] = shown.place.map((value) => number(value, 2));
    find(".hf-where").textContent = t(hovered ? "map.under" : "map.pinned", { x, y });
    const { classes, item, projected } = state.model;
    const name = shown.nearest < 0 ? null : classes[atlas.labels[shown.nearest]];
    find(".hf-nearest").textContent = name === null ? "" : t(hovered && projected ? "map.code" : "map.nearest", { item, name });
  }
  /** @param {Atlas} atlas */
  function latentHere(atlas) {
    const place = atlas.place(state.z);
    return { place, nearest: atlas.nearest(...place, hidden) };
  }

  // The backdrop: a grid of decoded places, made in small portions when the view has stopped moving.
  let tiling = 0;
  async function tile() {
    const job = ++tiling;
    if (!manifold.checked || !atlas) return;
    await new Promise((resolve) => setTimeout(resolve, 150));
    if (job !== tiling || !atlas) return;
    const reach = canvas.width / 2 / scale();
    const side = (2 * reach) / TILES;
    const middle = { ...view, reach };
    const cells = [];
    for (let i = 0; i < TILES * TILES; i++) {
      const [column, row] = [i % TILES, Math.floor(i / TILES)];
      const [x, y] = [middle.x - reach + (column + 0.5) * side, middle.y + reach - (row + 0.5) * side];
      const target = latentAt(atlas, [x, y]);
      const far = !target || Math.max(Math.abs(target.place[0] - x), Math.abs(target.place[1] - y)) > side / 2;
      if (!far) cells.push({ z: target.z, column, row }); // a projection's tile without a code stays empty
    }
    const brush = penOf(backdrop);
    const small = newCanvas(28, 28);
    for (let start = 0, portion = state.decode ? TILES : TILES * TILES; start < cells.length; start += portion) {
      const some = cells.slice(start, start + portion);
      const { images } = (await decodeAll(some.map((cell) => cell.z)).catch(() => null)) ?? {};
      if (job !== tiling || !images) return;
      if (start === 0) {
        backdrop.width = backdrop.height = 28 * TILES;
        tiled = middle;
      }
      some.forEach(({ column, row }, i) => {
        paint(small, images[i]);
        brush.drawImage(small, 28 * column, 28 * row);
      });
      redraw();
      await new Promise(requestAnimationFrame);
    }
  }

  // Moving about

  /**
   * @param {Place} place
   * @param {number} factor
   */
  function zoomAt([px, py], factor) {
    const [x, y] = toMap([px, py]);
    view.zoom = Math.max(1, Math.min(MAX_ZOOM, view.zoom * factor));
    view.x = x - (px - canvas.width / 2) / scale();
    view.y = y + (py - canvas.height / 2) / scale();
    settle();
  }
  function settle() {
    const free = (atlas?.reach ?? 1) * (1 - 1 / view.zoom) * 1.05; // the view stays over the points
    view.x = Math.max(-free, Math.min(free, view.x));
    view.y = Math.max(-free, Math.min(free, view.y));
    redraw();
    tile();
  }
  /** @type {() => Place} */
  const middle = () => [canvas.width / 2, canvas.height / 2];
  function showAll() {
    view = { x: 0, y: 0, zoom: 1 };
    settle();
  }

  /** @param {Place | null} place */
  function hover(place) {
    hovered = place && atlas && latentAt(atlas, toMap(place));
    showImage();
    describe();
    compose();
  }
  /** @param {Target | null} target */
  function pin(target) {
    hovered = null;
    if (!target) return;
    setZ(target.z, "map");
    link.pin();
  }

  // A mouse hovers, drags the map and clicks; a finger decodes as it goes and pins where it leaves; two fingers zoom.
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !atlas) return;
    canvas.setPointerCapture(event.pointerId);
    const at = eventPosition(canvas, event);
    pointers.set(event.pointerId, { at, start: at });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!atlas) return;
    const at = eventPosition(canvas, event);
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return hover(at);
    const before = pointer.at;
    pointer.at = at;
    pointer.moved ||= Math.hypot(at[0] - pointer.start[0], at[1] - pointer.start[1]) > CLICK_TOLERANCE;
    if (pointers.size === 2) {
      const other = [...pointers.values()].find((candidate) => candidate !== pointer) ?? pointer;
      pointer.pinches = other.pinches = true;
      const apart = (/** @type {Place} */ place) => Math.hypot(place[0] - other.at[0], place[1] - other.at[1]) || 1;
      zoomAt([(at[0] + other.at[0]) / 2, (at[1] + other.at[1]) / 2], apart(at) / apart(before));
    } else if (event.pointerType === "touch") hover(at);
    else if (pointer.moved) {
      view.x -= (at[0] - before[0]) / scale();
      view.y += (at[1] - before[1]) / scale();
      settle();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const pointer = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (!atlas || !pointer || pointer.pinches) return;
    if (event.pointerType === "touch" || !pointer.moved) pin(latentAt(atlas, toMap(pointer.at)));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => atlas && hover(null));
  canvas.addEventListener("wheel", (event) => {
    if (!atlas) return;
    event.preventDefault();
    zoomAt(eventPosition(canvas, event), Math.exp(-event.deltaY / 400));
  }, { passive: false });
  frame.addEventListener("keydown", (event) => {
    if (!atlas) return;
    const step = ARROWS[event.key];
    if (step) {
      const [x, y] = hovered?.place ?? atlas.place(state.z);
      const [px, py] = toPixels([x, y]);
      stepTo([px + 10 * step[0], py - 10 * step[1]], step);
    } else if (event.key === "Enter" && hovered) pin(hovered);
    else if (event.key === "+" || event.key === "=") zoomAt(middle(), 1.5);
    else if (event.key === "-") zoomAt(middle(), 1 / 1.5);
    else if (event.key === "0") showAll();
    else return;
    event.preventDefault();
  });
  /**
   * An arrow key's step; on a projection it goes on until it reaches another image's code.
   * @param {Place} from
   * @param {Place} step
   */
  function stepTo([px, py], step) {
    const from = hovered?.nearest;
    for (let i = 0; i < 20; i++) {
      hover([px + 10 * i * step[0], py - 10 * i * step[1]]);
      if (!state.model.projected || hovered?.nearest !== from) return;
    }
  }
  find("[data-do=in]").addEventListener("click", () => zoomAt(middle(), 1.5));
  find("[data-do=out]").addEventListener("click", () => zoomAt(middle(), 1 / 1.5));
  find("[data-do=all]").addEventListener("click", showAll);
  manifold.addEventListener("change", () => {
    redraw();
    tile();
  });

  /** @param {import("../page/types").Model} model */
  function renderLegend({ classes }) {
    const palette = colours(classes.length);
    hidden.clear();
    const buttons = classes.map((name, label) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "hf-class" });
      button.append(stamp(label, palette[label], 12), name);
      button.ariaPressed = "true";
      button.addEventListener("click", () => {
        hidden.has(label) ? hidden.delete(label) : hidden.add(label);
        button.ariaPressed = String(!hidden.has(label));
        redraw();
      });
      return button;
    });
    find(".hf-legend").replaceChildren(...buttons);
  }

  function explain() {
    const { hasMap, projected, latentDim, dataset } = state.model;
    const kind = !hasMap ? "none" : !projected ? "plane" : (atlas?.chosen ?? "directions");
    find(".hf-map-note").textContent = t(`map.note.${kind}`, { dataset, count: latentDim });
  }
  layouts.addEventListener("change", () => atlas?.choose(layouts.value));
  /** @param {Atlas} atlas */
  function adoptLayout(atlas) {
    hovered = tiled = null;
    view = { x: 0, y: 0, zoom: atlas.reach / atlas.usual }; // a few points far out do not push the others together
    explain();
    settle();
    describe();
  }

  async function adopt() {
    const { model } = state;
    renderLegend(model);
    atlas = hovered = tiled = null;
    tiling += 1;
    view = { x: 0, y: 0, zoom: 1 };
    manifold.checked = !model.projected; // decoded, a plane explains itself
    find(".hf-layout").hidden = true;
    find(".hf-where").textContent = find(".hf-nearest").textContent = "";
    truth.reset();
    explain();
    redraw();
    showImage();
    const fetched = await atlasOf(model, server);
    if (model !== state.model || !fetched) return;
    atlas = fetched;
    const names = Object.keys(fetched.layouts);
    layouts.replaceChildren(...names.map((name) => new Option(t(`map.layout.${name}`), name, false, name === fetched.chosen)));
    find(".hf-layout").hidden = names.length < 2;
    adoptLayout(fetched);
  }
  decoded.ariaLabel = t("decoded.title");
  offerSaving(find("#decoded"), "decoded");
  offerSaving(frame, "map");
  listen((what) => {
    if (what === "model") return adopt();
    if (what === "layout" && atlas) return adoptLayout(atlas);
    if (what === "z") describe();
    if (what === "z" || what === "judged") {
      truth.ask();
      compose();
    }
    if (what === "image") showImage();
  });
  adopt();
});
