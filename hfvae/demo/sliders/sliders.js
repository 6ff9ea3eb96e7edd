// A slider a latent, with what its ends lead to; principal directions; both latents of a plane at once.
const THUMBNAIL_PAUSE = 250; // milliseconds without a move before the thumbnails are decoded anew
const panel = find("#sliders");
const directions = find("#directions");
const generated = find("#generated canvas");
const xy = find("#xy canvas");
const more = find("[data-do=more]");
const temperature = find("[data-do=temperature]");
let inputs = []; // in latent order; CSS shows them by activity
let directionInputs = []; // sliders of the principal directions
let atlas = null;
let backdrop = null; // the test set behind the XY pad
let thumbnailsDue = null;

function row(text, reach, move) {
  const label = document.createElement("label");
  label.className = "hf-slider";
  const input = Object.assign(document.createElement("input"), { type: "range", min: -reach, max: reach, step: "any", value: 0 });
  const name = Object.assign(document.createElement("span"), { textContent: text });
  input.addEventListener("input", () => move(Number(input.value)));
  const thumbnail = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28, className: "hf-thumbnail hf-blank" });
    canvas.ariaHidden = "true";
    return canvas;
  };
  label.append(name, thumbnail(), input, thumbnail(), document.createElement("output"));
  return label;
}
function set(input, value) {
  if (Math.abs(Number(input.value) - value) > 1e-6) input.value = value;
  input.parentElement.querySelector("output").textContent = hf.number(value, 2);
}

function slider(latent, rank) {
  const { active, span, visible } = hf.state.model;
  const name = hf.t(active[latent] ? "sliders.latent" : "sliders.dead", { number: latent + 1 });
  const label = row(name, span, (value) => hf.setZ(hf.state.z.with(latent, value), "sliders"));
  label.style.order = rank;
  label.dataset.latent = latent;
  label.classList.toggle("hf-folded", rank >= visible);
  label.classList.toggle("hf-dead", !active[latent]);
  label.title = hf.t(active[latent] ? "sliders.latent.title" : "sliders.dead.title");
  return label;
}
function direction(axis) {
  return row(hf.t("directions.name", { number: axis + 1 }), 3 * atlas.spread[axis], (value) => hf.setZ(along(axis, value), "sliders"));
}
// The current point, moved to a coordinate on a principal direction.
function along(axis, value) {
  const step = value - atlas.along(axis, hf.state.z);
  return hf.state.z.map((part, i) => part + step * atlas.axes[axis][i]);
}

function show() {
  inputs.forEach((input, latent) => set(input, hf.state.z[latent]));
  directionInputs.forEach((input, axis) => set(input, atlas.along(axis, hf.state.z)));
  const { undo, redo } = hf.moves.possible;
  find("[data-do=undo]").disabled = !undo;
  find("[data-do=redo]").disabled = !redo;
  if (hf.state.model.latentDim === 2) showPad();
  clearTimeout(thumbnailsDue);
  thumbnailsDue = setTimeout(showThumbnails, THUMBNAIL_PAUSE);
}

// What the ends of each visible slider would decode to, all else being as it is.
const decodeThumbnails = hf.latest(({ points }) => hf.decodeAll(points), ({ images }, { rows }) => {
  if (!images) return;
  rows.forEach((row, i) => [...row.querySelectorAll("canvas")].forEach((canvas, end) => hf.paint(canvas, images[2 * i + end])));
});
function showThumbnails() {
  const visible = (list) => [...list.children].filter((row) => row.offsetParent && !row.classList.contains("hf-dead"));
  const latents = visible(panel).map((row) => [row, (end) => hf.state.z.with(Number(row.dataset.latent), end * hf.state.model.span)]);
  const axes = visible(directions).map((row) => {
    const axis = [...directions.children].indexOf(row);
    return [row, (end) => along(axis, end * 3 * atlas.spread[axis])];
  });
  const all = [...latents, ...axes];
  if (!all.length) return;
  const points = all.flatMap(([, point]) => [point(-1), point(1)]);
  decodeThumbnails({ model: hf.state.model.name, points, rows: all.map(([row]) => row) });
}

// The plane of two latents; nearly all codes fill it, and the point may leave it.
const padReach = () => atlas?.usual ?? hf.state.model.span;
function showPad() {
  const context = xy.getContext("2d");
  const scale = (0.95 * xy.width) / 2 / padReach();
  const middle = xy.width / 2;
  context.clearRect(0, 0, xy.width, xy.height);
  if (atlas) backdrop ??= atlas.backdrop(xy.width, scale, 2);
  if (backdrop) context.drawImage(backdrop, 0, 0);
  const inside = (value) => Math.max(8, Math.min(xy.width - 8, value));
  hf.ring(context, inside(middle + scale * hf.state.z[0]), inside(middle - scale * hf.state.z[1]), 7);
}
function moveOnPad(x, y) {
  const { span } = hf.state.model;
  const inside = (value) => Math.max(-span, Math.min(span, value));
  hf.setZ([inside(x), inside(y)], "sliders");
}
function drag(event) {
  if (!xy.hasPointerCapture(event.pointerId)) return;
  const [x, y] = hf.eventPosition(xy, event);
  const unit = (0.95 * xy.width) / 2 / padReach();
  moveOnPad((x - xy.width / 2) / unit, (xy.height / 2 - y) / unit);
}
xy.addEventListener("pointerdown", (event) => {
  xy.setPointerCapture(event.pointerId);
  drag(event);
});
xy.addEventListener("pointermove", drag);
find("#xy").addEventListener("keydown", (event) => {
  const step = hf.arrows[event.key];
  if (!step) return;
  event.preventDefault();
  const [x, y] = hf.state.z;
  moveOnPad(x + (step[0] * padReach()) / 50, y + (step[1] * padReach()) / 50);
});

function fold(folded) {
  const hidden = hf.state.model.latentDim - hf.state.model.visible;
  panel.classList.toggle("hf-all", !folded);
  more.hidden = hidden <= 0;
  more.ariaExpanded = String(!folded);
  more.textContent = folded ? hf.t("sliders.more", { count: hidden }) : hf.t("sliders.fewer");
  if (!folded) showThumbnails();
}

async function adopt() {
  const { model } = hf.state;
  atlas = backdrop = null;
  panel.replaceChildren(...Array.from({ length: model.latentDim }, (_, i) => slider(i, model.ranking.indexOf(i))));
  inputs = [...panel.querySelectorAll("input")];
  directions.replaceChildren();
  directionInputs = [];
  temperature.parentElement.hidden = !model.tempered;
  find(".hf-order").hidden = model.latentDim <= model.visible;
  find(".hf-xy").hidden = model.latentDim !== 2;
  find(".hf-axes").hidden = !model.hasMap || model.latentDim === 2;
  fold(true);
  show();
  hf.paint(generated, hf.state.image);
  const fetched = await hf.atlas(model, server);
  if (model !== hf.state.model || !fetched) return;
  atlas = fetched;
  if (model.latentDim > 2) {
    directions.replaceChildren(...atlas.axes.map((_, axis) => direction(axis)));
    directionInputs = [...directions.querySelectorAll("input")];
  }
  show();
}

const draw = hf.latest(
  ({ seed, temperature }) => hf.draws(server.draws, 1, seed, temperature),
  ({ points, images }) => hf.setZ(points[0], "prior", images?.[0]),
);
find("[data-do=random]").addEventListener("click", () => {
  draw({ model: hf.state.model.name, seed: hf.newSeed(), temperature: hf.state.temperature });
});
find("[data-do=mean]").addEventListener("click", () => hf.setZ(hf.state.model.origin, "prior"));
find("[data-do=reset]").addEventListener("click", () => hf.setZ(hf.state.anchor, "sliders"));
find("[data-do=undo]").addEventListener("click", hf.moves.undo);
find("[data-do=redo]").addEventListener("click", hf.moves.redo);
temperature.addEventListener("input", () => hf.setTemperature(Number(temperature.value)));
more.addEventListener("click", () => fold(panel.classList.contains("hf-all")));
find(".hf-axes").addEventListener("toggle", showThumbnails);
generated.ariaLabel = hf.t("generated.title");
hf.offerSaving(find("#generated"), "generated");

// The point for programs
const rounded = () => hf.state.z.map((value) => Number(value.toFixed(4)));
find("[data-do=json]").addEventListener("click", () => {
  const { model } = hf.state;
  hf.saveAs(JSON.stringify({ model: model.name, z: rounded() }), "application/json", `${hf.fileName("point")}.json`);
});
find("[data-do=python]").addEventListener("click", ({ target }) => {
  const vae = `vae = hfvae.load("${hf.state.model.name}", device="cpu")`;
  const images = `images = hfvae.generate(vae, z=torch.tensor([[${rounded().join(", ")}]]))`;
  hf.copy(`import torch\nimport hfvae\n\n${vae}\n${images}`, target);
});

hf.listen((what) => {
  if (what === "model") adopt();
  else if (what === "z") show();
  else if (what === "image") hf.paint(generated, hf.state.image);
  else if (what === "temperature") find(".hf-temperature").textContent = hf.number(hf.state.temperature, 2);
});
find(".hf-temperature").textContent = hf.number(hf.state.temperature, 2);
new IntersectionObserver(showThumbnails).observe(panel);
adopt();
