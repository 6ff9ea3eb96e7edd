const pad = find("#pad canvas");
const pen = pad.getContext("2d");
const width = find("[data-do=width]");
const small = document.createElement("canvas"); // the drawing as it is sent
const whereabouts = find("#whereabouts canvas");
const MAX_BARS = 10; // classes whose votes are shown at once
const FULL_DIFFERENCE = 160; // the difference in grey levels that gets the full colour
let marks = []; // strokes {width, points: [[x, y], ...]} and loaded images {image}
let current = null; // the stroke under the pointer
let seen = null; // what the model sees of the drawing
let since = null; // the latent point when the drawing last changed
let showsPosterior = false; // whether posterior draws are shown
let atlas = null;
let backdrop = null; // the test set behind the small map

function redraw() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, pad.width, pad.height);
  pen.strokeStyle = "white";
  pen.lineCap = pen.lineJoin = "round";
  pen.imageSmoothingEnabled = false;
  for (const mark of marks) mark.image ? pen.drawImage(mark.image, 0, 0, pad.width, pad.height) : drawStroke(mark);
  find(".hf-hint").hidden = marks.length > 0;
}

// A curve through the midpoints between the points, so that fast strokes have no corners.
function drawStroke({ width, points }) {
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [[x, y], [nextX, nextY]] = [points[i], points[i + 1]];
    pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  pen.lineTo(...points.at(-1));
  pen.stroke();
}

function drawing() {
  const side = hf.state.model.pad;
  small.width = small.height = side;
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(pad, 0, 0, side, side);
  const rgba = context.getImageData(0, 0, side, side).data;
  return { model: hf.state.model.name, ink: hf.base64(Uint8Array.from({ length: side * side }, (_, i) => rgba[4 * i])) };
}

const ask = hf.latest(server.reconstruct, (answer) => {
  document.documentElement.dataset.ready = "true";
  if (answer.empty || !marks.length) return showNothing();
  seen = hf.unpackImages(answer.seen)[0];
  judge(answer);
  if (hf.state.z !== since) return show(); // another tab has moved the point meanwhile
  hf.setZ(answer.z, "draw", hf.unpackImages(answer.reconstruction)[0]);
  since = hf.state.z;
});
const askPosterior = hf.latest(server.posterior, (answer) => {
  hf.renderStrip(find("#posterior"), answer.empty ? [] : hf.unpackImages(answer.images), (i) => `Posterior draw ${i + 1}`);
});
const askExamples = hf.latest(server.class_examples, (answer) => {
  const { model } = hf.state;
  find(".hf-digits-note").textContent = answer.real
    ? `Load one of ${model.dataset}'s own test images, then draw over it.`
    : `${model.dataset} is not on the server's machine, so these are test images as the model decodes them.`;
  const images = hf.unpackImages(answer.images);
  hf.renderStrip(find("#digits"), images, (i) => `Load test ${model.item} ${model.classes[answer.labels[i]]}`, (i) => load(find("#digits").children[i].firstChild));
});

function update() {
  since = hf.state.z;
  ask(drawing);
  if (showsPosterior && !current) askPosterior(drawing);
}
function change(next) {
  marks = next;
  redraw();
  update();
}
function load(canvas) {
  const image = document.createElement("canvas");
  image.width = image.height = 28;
  image.getContext("2d").drawImage(canvas, 0, 0);
  change([{ image }]);
}

// Showing

function showNothing() {
  seen = null;
  judge({});
  hf.renderStrip(find("#posterior"), [], () => "");
  show();
}

// The image is that of the current latent point, which another tab may have moved.
const moved = () => hf.state.origin !== "draw" && hf.state.origin !== null;
function show() {
  const { image, exact, model } = hf.state;
  const shown = seen || moved() ? image : null;
  hf.paint(find("#seen canvas"), seen);
  hf.paint(find("#reconstruction canvas"), shown);
  showDifference(exact ? shown : null);
  find(".hf-source").textContent = moved() ? "The latent point has been moved elsewhere." : `Drawn from ${model.latentDim} latents alone`;
  find("[data-do=back]").hidden = !moved() || !seen;
  find(".hf-verdict").classList.toggle("hf-dim", moved());
  showWhereabouts();
}

function showDifference(shown) {
  const context = find("#difference canvas").getContext("2d");
  context.clearRect(0, 0, 28, 28);
  if (!seen || !shown) return;
  const image = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) {
    const difference = seen[i] - shown[i];
    image.data.set(difference > 0 ? [255, 90, 60] : [70, 150, 255], 4 * i);
    image.data[4 * i + 3] = Math.min(255, (255 * Math.abs(difference)) / FULL_DIFFERENCE);
  }
  context.putImageData(image, 0, 0);
}

function judge({ percentile, votes }) {
  find("#percentile").value = percentile ?? 0;
  const share = percentile < 10 ? percentile?.toFixed(1) : percentile?.toFixed(0);
  find(".hf-percentile").textContent =
    percentile == null
      ? marks.length ? "This model comes without figures of the test images to compare with." : "Draw, and see how well the model can explain it."
      : percentile < 1
        ? `Hardly: ${share} % of the test images are explained less well.`
        : `Explained better than ${share} % of the test images.`;
  const all = votes?.reduce((sum, count) => sum + count);
  const most = Math.max(...(votes ?? []));
  renderBars(votes ?? []);
  find(".hf-voted").textContent = votes
    ? `${most} of the ${all} nearest test ${hf.state.model.item}s are of class ${hf.state.model.classes[votes.indexOf(most)]}.`
    : "The nearest test images in latent space will vote.";
}

function showWhereabouts() {
  const context = whereabouts.getContext("2d");
  const side = whereabouts.width;
  context.clearRect(0, 0, side, side);
  if (!atlas) return;
  const scale = (0.47 * side) / atlas.usual;
  backdrop ??= atlas.backdrop(side, scale, 1.5);
  context.drawImage(backdrop, 0, 0);
  if (!seen && !moved()) return;
  const [x, y] = atlas.project(hf.state.z);
  hf.ring(context, side / 2 + scale * x, side / 2 - scale * y, 5);
}

// Input

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || current) return;
  pad.setPointerCapture(event.pointerId);
  current = { id: event.pointerId, width: Number(width.value), points: [hf.eventPosition(pad, event)] };
  change([...marks, current]);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== current?.id) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  current.points.push(...(moves.length ? moves : [event]).map((move) => hf.eventPosition(pad, move)));
  redraw();
  update();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId !== current?.id) return;
    current = null;
    update();
  });
}
const undo = () => change(marks.slice(0, -1));
find("[data-do=undo]").addEventListener("click", undo);
find("[data-do=clear]").addEventListener("click", () => change([]));
find("[data-do=back]").addEventListener("click", update);
find("[data-do=digits]").addEventListener("click", () => askExamples({ model: hf.state.model.name }));
find("[data-do=sure]").addEventListener("click", () => {
  showsPosterior = !showsPosterior;
  find(".hf-posterior").hidden = !showsPosterior;
  if (showsPosterior) update();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && !typing && pad.offsetParent) undo();
});

// A bar for each class, or, where there are too many, for those that have votes.
function renderBars(votes) {
  const { classes } = hf.state.model;
  const colours = hf.colours(classes.length);
  const all = votes.reduce((sum, count) => sum + count, 0) || 1;
  const shown = classes.map((_, label) => label).filter((label) => classes.length <= MAX_BARS || votes[label]);
  const bars = shown.slice(0, MAX_BARS).map((label) => {
    const bar = Object.assign(document.createElement("span"), { textContent: classes[label].slice(0, 3), title: classes[label] });
    bar.style.setProperty("--class-colour", colours[label]);
    bar.style.setProperty("--share", (votes[label] ?? 0) / all);
    return bar;
  });
  find("#votes").replaceChildren(...bars);
}

function renderTexts({ item }) {
  find(".hf-hint").textContent = `draw a ${item} here`;
  find(".hf-seen-note").textContent = "Your drawing, sized and centred as the training images are";
  find(".hf-percentile-title").textContent = `Is this a ${item} at all?`;
}

async function adopt() {
  const { model } = hf.state;
  atlas = backdrop = null;
  seen = null;
  renderTexts(model);
  judge({});
  show();
  update();
  find("#digits").parentElement.parentElement.hidden = !model.hasMap;
  if (model.hasMap) askExamples({ model: model.name });
  const fetched = await hf.atlas(model, server);
  if (model !== hf.state.model) return;
  atlas = fetched;
  show();
}
hf.listen((what) => {
  if (what === "model") adopt();
  else if (what === "image") show();
});
redraw();
adopt();
