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

function row(text, reach, move) {
  const label = document.createElement("label");
  label.className = "hf-slider";
  const input = Object.assign(document.createElement("input"), { type: "range", min: -reach, max: reach, step: "any", value: 0 });
  const name = Object.assign(document.createElement("span"), { textContent: text });
  input.addEventListener("input", () => move(Number(input.value)));
  label.append(name, input, document.createElement("output"));
  return label;
}
function set(input, value) {
  if (Math.abs(Number(input.value) - value) > 1e-6) input.value = value;
  input.nextElementSibling.textContent = value.toFixed(2);
}

function slider(latent, rank) {
  const { active, span, visible } = hf.state.model;
  const label = row(`z${latent + 1}${active[latent] ? "" : " (dead)"}`, span, (value) => {
    hf.setZ(hf.state.z.with(latent, value), "sliders");
  });
  label.style.order = rank;
  label.classList.toggle("hf-folded", rank >= visible);
  label.classList.toggle("hf-dead", !active[latent]);
  if (!active[latent]) label.title = "The model does not use this latent: it changes nothing.";
  return label;
}
function direction(axis) {
  return row(`direction ${axis + 1}`, 3 * atlas.spread[axis], (value) => {
    const step = value - atlas.along(axis, hf.state.z);
    hf.setZ(hf.state.z.map((part, i) => part + step * atlas.axes[axis][i]), "sliders");
  });
}

function show() {
  inputs.forEach((input, latent) => set(input, hf.state.z[latent]));
  directionInputs.forEach((input, axis) => set(input, atlas.along(axis, hf.state.z)));
  if (hf.state.model.latentDim === 2) showPad();
}

function showPad() {
  const context = xy.getContext("2d");
  const scale = xy.width / 2 / hf.state.model.span;
  const middle = xy.width / 2;
  context.clearRect(0, 0, xy.width, xy.height);
  if (atlas) backdrop ??= atlas.backdrop(xy.width, scale, 2);
  if (backdrop) context.drawImage(backdrop, 0, 0);
  hf.ring(context, middle + scale * hf.state.z[0], middle - scale * hf.state.z[1], 7);
}
function moveOnPad(x, y) {
  const { span } = hf.state.model;
  const inside = (value) => Math.max(-span, Math.min(span, value));
  hf.setZ([inside(x), inside(y)], "sliders");
}
function drag(event) {
  if (!xy.hasPointerCapture(event.pointerId)) return;
  const [x, y] = hf.eventPosition(xy, event);
  const unit = xy.width / 2 / hf.state.model.span;
  moveOnPad(x / unit - hf.state.model.span, hf.state.model.span - y / unit);
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
  moveOnPad(x + (step[0] * hf.state.model.span) / 50, y + (step[1] * hf.state.model.span) / 50);
});

function fold(folded) {
  const hidden = hf.state.model.latentDim - hf.state.model.visible;
  panel.classList.toggle("hf-all", !folded);
  more.hidden = hidden <= 0;
  more.textContent = folded ? `Show the ${hidden} less active latents` : "Show fewer";
}

async function adopt() {
  const { model } = hf.state;
  atlas = backdrop = null;
  panel.replaceChildren(...Array.from({ length: model.latentDim }, (_, i) => slider(i, model.ranking.indexOf(i))));
  inputs = [...panel.querySelectorAll("input")];
  directionInputs = [];
  find("[data-do=mean]").textContent = model.origin.some((value) => value !== 0) ? "Mean of the prior" : "Mean (all zero)";
  temperature.parentElement.hidden = !model.tempered;
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
temperature.addEventListener("input", () => hf.setTemperature(Number(temperature.value)));
more.addEventListener("click", () => fold(panel.classList.contains("hf-all")));
hf.listen((what) => {
  if (what === "model") adopt();
  else if (what === "z") show();
  else if (what === "image") hf.paint(generated, hf.state.image);
  else if (what === "temperature") find(".hf-temperature").textContent = hf.state.temperature.toFixed(2);
});
adopt();
