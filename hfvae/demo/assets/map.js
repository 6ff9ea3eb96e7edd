const COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const canvas = find("#map canvas");
const pen = canvas.getContext("2d");
const decoded = find("#decoded canvas");
const layer = document.createElement("canvas"); // the points, drawn once
let codes = null; // {codes, points, labels, project} of the model on show
let view = null; // {x, y: the map's middle, scale: pixels a unit}
let marked = null; // the point on show, in map coordinates
const hidden = new Set(); // classes switched off in the legend

const ask = hf.latest(server.decode, (answer) => {
  hf.say(find(".hf-problem"), answer.error);
  if (!answer.error) hf.paint(decoded, answer.image);
});

const fetchCodes = hf.latest(server.codes, (answer) => {
  hf.say(find(".hf-problem"), answer.error);
  if (answer.error) return;
  const floats = (text) => new Float32Array(hf.bytes(text).buffer);
  const [centre, directions] = [floats(answer.centre), floats(answer.directions)];
  const project = (z) =>
    [0, 1].map((axis) => centre.reduce((sum, middle, i) => sum + (z[i] - middle) * directions[2 * i + axis], 0));
  const all = floats(answer.codes);
  const labels = hf.bytes(answer.labels);
  const points = new Float32Array(2 * labels.length);
  for (let i = 0; i < labels.length; i++) {
    points.set(project(all.subarray(i * centre.length, (i + 1) * centre.length)), 2 * i);
  }
  codes = { codes: all, points, labels, project };
  fit();
  drawPoints();
  follow();
});

function fit() {
  let reach = 0;
  for (const coordinate of codes.points) reach = Math.max(reach, Math.abs(coordinate));
  view = { x: 0, y: 0, scale: (0.48 * canvas.width) / reach };
}
const toPixels = (x, y) => [canvas.width / 2 + (x - view.x) * view.scale, canvas.height / 2 - (y - view.y) * view.scale];

function drawPoints() {
  layer.width = canvas.width;
  layer.height = canvas.height;
  const brush = layer.getContext("2d");
  brush.globalAlpha = 0.6;
  for (let i = 0; i < codes.labels.length; i++) {
    if (hidden.has(codes.labels[i])) continue;
    const [px, py] = toPixels(codes.points[2 * i], codes.points[2 * i + 1]);
    brush.fillStyle = COLOURS[codes.labels[i]];
    brush.fillRect(px - 1.5, py - 1.5, 3, 3);
  }
  draw();
}

function draw() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(layer, 0, 0);
  if (!marked || !view) return;
  const [px, py] = toPixels(...marked);
  pen.lineWidth = 3;
  for (const [radius, colour] of [[9, "black"], [7, "white"]]) {
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.arc(px, py, radius, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function nearest(x, y) {
  let best = -1;
  let least = Infinity;
  for (let i = 0; i < codes.labels.length; i++) {
    if (hidden.has(codes.labels[i])) continue;
    const distance = (codes.points[2 * i] - x) ** 2 + (codes.points[2 * i + 1] - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

// The latent point that a place on the map stands for: itself in two dimensions, else the nearest test digit's code.
function latentAt(x, y) {
  const { latentDim, projected } = hf.state.model;
  if (!projected) return { z: [x, y], place: [x, y] };
  const i = nearest(x, y);
  if (i < 0) return null;
  return {
    z: Array.from(codes.codes.subarray(latentDim * i, latentDim * (i + 1))),
    place: [codes.points[2 * i], codes.points[2 * i + 1]],
    label: codes.labels[i],
  };
}

function go(x, y, pin) {
  if (!codes) return;
  const target = latentAt(x, y);
  if (!target) return;
  marked = target.place;
  draw();
  const digit = target.label === undefined ? "" : `, the code of a test digit ${target.label}`;
  hf.say(find(".hf-where"), `(${target.place.map((v) => v.toFixed(2)).join(", ")})${digit}`);
  ask({ model: hf.state.model.name, z: target.z });
  if (pin) hf.setZ(target.z, "map");
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const px = ((event.clientX - box.left) * canvas.width) / box.width;
  const py = ((event.clientY - box.top) * canvas.height) / box.height;
  return [view.x + (px - canvas.width / 2) / view.scale, view.y - (py - canvas.height / 2) / view.scale];
}
canvas.addEventListener("pointermove", (event) => codes && go(...place(event), false));
canvas.addEventListener("click", (event) => codes && go(...place(event), true));
find("#map").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!step || !codes) return;
  event.preventDefault();
  const [x, y] = marked ?? [0, 0];
  go(x + (step[0] * 10) / view.scale, y + (step[1] * 10) / view.scale, true);
});

// Show the latent point that another tab chose.
function follow() {
  if (!codes) return;
  marked = codes.project(hf.state.z);
  hf.say(find(".hf-where"), `(${marked.map((v) => v.toFixed(2)).join(", ")})`);
  ask({ model: hf.state.model.name, z: hf.state.z });
  draw();
}

for (let digit = 0; digit < 10; digit++) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: digit, className: "hf-class" });
  button.style.setProperty("--class-colour", COLOURS[digit]);
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    hidden.has(digit) ? hidden.delete(digit) : hidden.add(digit);
    button.setAttribute("aria-pressed", String(!hidden.has(digit)));
    if (codes) drawPoints();
  });
  find(".hf-legend").append(button);
}

function adopt() {
  const { hasMap, projected, latentDim, name } = hf.state.model;
  codes = marked = null;
  layer.width = layer.height = 0;
  hf.wipe(canvas);
  hf.wipe(decoded);
  hf.say(find(".hf-where"), "");
  hf.say(
    find(".hf-note"),
    !hasMap
      ? "This model comes without latent codes, so there is no map of them."
      : projected
        ? `The 10,000 test digits by their class. ${latentDim} latents do not fit on a page: this is their projection onto two ` +
          "principal directions. A place on it has no single latent point, so it decodes the nearest digit's code."
        : "The 10,000 test digits by their class, at the two latents the model gives them. Move over the map to decode any point.",
  );
  if (hasMap) fetchCodes({ model: name });
}
hf.listen((what, origin) => {
  if (what === "model") adopt();
  else if (origin !== "map") follow();
});
adopt();
