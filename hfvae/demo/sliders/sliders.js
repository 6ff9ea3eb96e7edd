// A slider a latent, with what its ends lead to; principal directions; both latents of a plane at once.
import { atlasOf } from "../page/atlas.js";
import { latest } from "../page/calls.js";
import { draws } from "../page/draws.js";
import { copy } from "../page/feedback.js";
import { ARROWS } from "../page/keys.js";
import { newSeed } from "../page/noise.js";
import { eventPosition, fileName, offerSaving, paint, penOf, ring, saveAs } from "../page/pictures.js";
import { decodeAll, moves, setZ } from "../page/point.js";
import { widget } from "../page/start.js";
import { listen, setTemperature, state } from "../page/state.js";
import { number, t } from "../page/text.js";
import { row, rowOf, set } from "./row.js";

/** @typedef {import("../page/atlas").Atlas} Atlas */

const THUMBNAIL_PAUSE = 250; // milliseconds without a move before the thumbnails are decoded anew

export default widget(({ find, server }) => {
  const panel = find("#sliders");
  const directions = find("#directions");
  const generated = find("#generated canvas", HTMLCanvasElement);
  const xy = find("#xy canvas", HTMLCanvasElement);
  const more = find("[data-do=more]");
  const temperature = find("[data-do=temperature]", HTMLInputElement);
  /** @type {HTMLInputElement[]} */
  let inputs = []; // in latent order; CSS shows them by activity
  /** @type {HTMLInputElement[]} */
  let directionInputs = []; // sliders of the principal directions
  /** @type {Atlas | null} */
  let atlas = null;
  /** @type {HTMLCanvasElement | null} */
  let backdrop = null; // the test set behind the XY pad
  /** @type {number | undefined} */
  let thumbnailsDue;

  /**
   * @param {number} latent
   * @param {number} rank
   */
  function slider(latent, rank) {
    const { active, span, visible } = state.model;
    const name = t(active[latent] ? "sliders.latent" : "sliders.dead", { number: latent + 1 });
    const label = row(name, span, (value) => setZ(at(latent, value), "sliders"));
    label.style.order = String(rank);
    label.dataset.latent = String(latent);
    label.classList.toggle("hf-folded", rank >= visible);
    label.classList.toggle("hf-dead", !active[latent]);
    label.title = t(active[latent] ? "sliders.latent.title" : "sliders.dead.title");
    return label;
  }
  /**
   * @param {Atlas} atlas
   * @param {number} axis
   */
  function direction(atlas, axis) {
    return row(t("directions.name", { number: axis + 1 }), 3 * atlas.spread[axis], (value) => setZ(along(atlas, axis, value), "sliders"));
  }
  /** @type {(latent: number, value: number) => number[]} the current point with another value of a latent */
  const at = (latent, value) => state.z.map((part, i) => (i === latent ? value : part));
  /**
   * The current point, moved to a coordinate on a principal direction.
   * @param {Atlas} atlas
   * @param {number} axis
   * @param {number} value
   */
  function along(atlas, axis, value) {
    const step = value - atlas.along(axis, state.z);
    return state.z.map((part, i) => part + step * atlas.axes[axis][i]);
  }

  function show() {
    inputs.forEach((input, latent) => set(input, state.z[latent]));
    if (atlas) for (const [axis, input] of directionInputs.entries()) set(input, atlas.along(axis, state.z));
    const { undo, redo } = moves.possible;
    find("[data-do=undo]", HTMLButtonElement).disabled = !undo;
    find("[data-do=redo]", HTMLButtonElement).disabled = !redo;
    if (state.model.latentDim === 2) showPad();
    clearTimeout(thumbnailsDue);
    thumbnailsDue = setTimeout(showThumbnails, THUMBNAIL_PAUSE);
  }

  // What the ends of each visible slider would decode to, all else being as it is.
  const decodeThumbnails = latest(({ points }) => decodeAll(points), ({ images }, { rows }) => {
    if (!images) return;
    /** @type {HTMLElement[]} */ (rows).forEach((row, i) => {
      [...row.querySelectorAll("canvas")].forEach((canvas, end) => paint(canvas, images[2 * i + end]));
    });
  });
  function showThumbnails() {
    const { span } = state.model;
    const visible = inputs.map((input, latent) => ({ row: rowOf(input), ends: () => [at(latent, -span), at(latent, span)] }));
    const axes = directionInputs.map((input, axis) => ({
      row: rowOf(input),
      ends: () => [-3, 3].map((end) => (atlas ? along(atlas, axis, end * atlas.spread[axis]) : [])),
    }));
    const shown = [...visible, ...axes].filter(({ row }) => row.offsetParent && !row.classList.contains("hf-dead"));
    if (!shown.length) return;
    const points = shown.flatMap(({ ends }) => ends());
    decodeThumbnails({ model: state.model.name, points, rows: shown.map(({ row }) => row) });
  }

  // The plane of two latents; nearly all codes fill it, and the point may leave it.
  const padReach = () => atlas?.usual ?? state.model.span;
  function showPad() {
    const context = penOf(xy);
    const scale = (0.95 * xy.width) / 2 / padReach();
    const middle = xy.width / 2;
    context.clearRect(0, 0, xy.width, xy.height);
    if (atlas) backdrop ??= atlas.backdrop(xy.width, scale, 2);
    if (backdrop) context.drawImage(backdrop, 0, 0);
    /** @param {number} value */
    const inside = (value) => Math.max(8, Math.min(xy.width - 8, value));
    ring(context, inside(middle + scale * state.z[0]), inside(middle - scale * state.z[1]), 7);
  }
  /**
   * @param {number} x
   * @param {number} y
   */
  function moveOnPad(x, y) {
    const { span } = state.model;
    /** @param {number} value */
    const inside = (value) => Math.max(-span, Math.min(span, value));
    setZ([inside(x), inside(y)], "sliders");
  }
  /** @param {PointerEvent} event */
  function drag(event) {
    if (!xy.hasPointerCapture(event.pointerId)) return;
    const [x, y] = eventPosition(xy, event);
    const unit = (0.95 * xy.width) / 2 / padReach();
    moveOnPad((x - xy.width / 2) / unit, (xy.height / 2 - y) / unit);
  }
  xy.addEventListener("pointerdown", (event) => {
    xy.setPointerCapture(event.pointerId);
    drag(event);
  });
  xy.addEventListener("pointermove", drag);
  find("#xy").addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = state.z;
    moveOnPad(x + (step[0] * padReach()) / 50, y + (step[1] * padReach()) / 50);
  });

  /** @param {boolean} folded */
  function fold(folded) {
    const hidden = state.model.latentDim - state.model.visible;
    panel.classList.toggle("hf-all", !folded);
    more.hidden = hidden <= 0;
    more.ariaExpanded = String(!folded);
    more.textContent = folded ? t("sliders.more", { count: hidden }) : t("sliders.fewer");
    if (!folded) showThumbnails();
  }

  async function adopt() {
    const { model } = state;
    atlas = backdrop = null;
    panel.replaceChildren(...Array.from({ length: model.latentDim }, (_, i) => slider(i, model.ranking.indexOf(i))));
    inputs = [...panel.querySelectorAll("input")];
    directions.replaceChildren();
    directionInputs = [];
    rowOf(temperature).hidden = !model.tempered;
    find(".hf-order").hidden = model.latentDim <= model.visible;
    find(".hf-xy").hidden = model.latentDim !== 2;
    find(".hf-axes").hidden = !model.hasMap || model.latentDim === 2;
    fold(true);
    show();
    paint(generated, state.image);
    const fetched = await atlasOf(model, server);
    if (model !== state.model || !fetched) return;
    atlas = fetched;
    if (model.latentDim > 2) {
      directions.replaceChildren(...fetched.axes.map((_, axis) => direction(fetched, axis)));
      directionInputs = [...directions.querySelectorAll("input")];
    }
    show();
  }

  const draw = latest(
    ({ seed, temperature }) => draws(server.draws, 1, seed, temperature),
    ({ points, images }) => setZ(points[0], "prior", images?.[0]),
  );
  find("[data-do=random]").addEventListener("click", () => {
    draw({ model: state.model.name, seed: newSeed(), temperature: state.temperature });
  });
  find("[data-do=mean]").addEventListener("click", () => setZ(state.model.origin, "prior"));
  find("[data-do=reset]").addEventListener("click", () => setZ(state.anchor, "sliders"));
  find("[data-do=undo]").addEventListener("click", moves.undo);
  find("[data-do=redo]").addEventListener("click", moves.redo);
  temperature.addEventListener("input", () => setTemperature(Number(temperature.value)));
  more.addEventListener("click", () => fold(panel.classList.contains("hf-all")));
  find(".hf-axes").addEventListener("toggle", showThumbnails);
  generated.ariaLabel = t("generated.title");
  offerSaving(find("#generated"), "generated");

  // The point for programs
  const rounded = () => state.z.map((value) => Number(value.toFixed(4)));
  find("[data-do=json]").addEventListener("click", () => {
    const { model } = state;
    saveAs(JSON.stringify({ model: model.name, z: rounded() }), "application/json", `${fileName("point")}.json`);
  });
  const python = find("[data-do=python]");
  python.addEventListener("click", () => {
    const vae = `vae = hfvae.load("${state.model.name}", device="cpu")`;
    const images = `images = hfvae.generate(vae, z=torch.tensor([[${rounded().join(", ")}]]))`;
    copy(`import torch\nimport hfvae\n\n${vae}\n${images}`, python);
  });

  listen((what) => {
    if (what === "model") adopt();
    else if (what === "z") show();
    else if (what === "image") paint(generated, state.image);
    else if (what === "temperature") find(".hf-temperature").textContent = number(state.temperature, 2);
  });
  find(".hf-temperature").textContent = number(state.temperature, 2);
  new IntersectionObserver(showThumbnails).observe(panel);
  adopt();
});
