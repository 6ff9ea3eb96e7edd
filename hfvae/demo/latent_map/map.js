const TILES = 20; // of the backdrop, a side
const CLICK_TOLERANCE = 5; // pixels that a pointer may move in a click
const MAX_ZOOM = 40;
const frame = find("#map");
const canvas = find("#map canvas");
const pen = canvas.getContext("2d");
const decoded = find("#decoded canvas");
const manifold = find("[data-do=manifold]");
const layer = document.createElement("canvas"); // backdrop and points, drawn once a view
const backdrop = document.createElement("canvas");
const hidden = new Set(); // classes switched off in the legend
const pointers = new Map(); // pointer id -> where it is and where it went down
let atlas = null;
let view = { x: 0, y: 0, zoom: 1 }; // the map's middle in map coordinates
let hovered = null; // the point under the pointer, {z, place, nearest}; null shows the pinned one
let tiled = null; // the view that the backdrop was made for

// Between map coordinates and the canvas's pixels
const scale = () => (view.zoom * 0.48 * canvas.width) / (atlas?.reach || 1);
const toPixels = ([x, y]) => [canvas.width / 2 + (x - view.x) * scale(), canvas.height / 2 - (y - view.y) * scale()];
const toMap = ([px, py]) => [view.x + (px - canvas.width / 2) / scale(), view.y - (py - canvas.height / 2) / scale()];

// The latent point that a place on the map stands for: itself in two dimensions, else the nearest test image's code.
function latentAt(x, y) {
  const nearest = atlas.nearest(x, y, hidden);
  const { projected } = hf.state.model;
  if (projected && nearest < 0) return null;
  const home = [atlas.points[2 * nearest], atlas.points[2 * nearest + 1]];
  return projected ? { z: Array.from(atlas.code(nearest)), place: home, nearest } : { z: [x, y], place: [x, y], nearest };
}

// Drawing

function redraw() {
  const brush = layer.getContext("2d");
  layer.width = canvas.width;
  layer.height = canvas.height;
  if (atlas) {
    if (manifold.checked && tiled) {
      const [left, top] = toPixels([tiled.x - tiled.reach, tiled.y + tiled.reach]);
      brush.imageSmoothingEnabled = false;
      brush.globalAlpha = 0.8;
      brush.drawImage(backdrop, left, top, 2 * tiled.reach * scale(), 2 * tiled.reach * scale());
    }
    brush.globalAlpha = manifold.checked ? 0.45 : 0.6;
    atlas.draw(brush, [scale(), ...toPixels([0, 0])], Math.min(6, 2 + view.zoom / 2), hidden);
  }
  compose();
}

function compose() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(layer, 0, 0);
  if (!atlas) return;
  const [px, py] = toPixels(atlas.project(hf.state.z));
  if (hovered) {
    const [hx, hy] = toPixels(hovered.place);
    if (hovered.nearest >= 0) {
      pen.strokeStyle = atlas.colours[atlas.labels[hovered.nearest]];
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(hx, hy);
      pen.lineTo(...toPixels([atlas.points[2 * hovered.nearest], atlas.points[2 * hovered.nearest + 1]]));
      pen.stroke();
    }
    hf.ring(pen, hx, hy, 4);
  }
  hf.ring(pen, px, py, 8);
}

const askHovered = hf.latest(({ points }) => hf.decodeAll(points, true), ({ images }) => {
  if (images && hovered) hf.paint(decoded, images[0]);
});
function showImage() {
  const { model, image } = hf.state;
  if (hovered) askHovered({ model: model.name, points: [hovered.z] });
  else hf.paint(decoded, image);
}

function describe() {
  if (!atlas) return;
  const shown = hovered ?? latentHere();
  const coordinates = shown.place.map((value) => value.toFixed(2)).join(", ");
  find(".hf-where").textContent = `${hovered ? "Under the pointer" : "Pinned"}: (${coordinates})`;
  const { classes, item, projected } = hf.state.model;
  const name = shown.nearest < 0 ? null : classes[atlas.labels[shown.nearest]];
  find(".hf-nearest").textContent =
    name === null ? "" : hovered && projected ? `The code of a test ${item} of class ${name}` : `The nearest test ${item} is of class ${name}`;
}
function latentHere() {
  const place = atlas.project(hf.state.z);
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
    const target = latentAt(x, y);
    const far = !target || Math.max(Math.abs(target.place[0] - x), Math.abs(target.place[1] - y)) > side / 2;
    if (!far) cells.push({ z: target.z, column, row }); // a projection's tile without a code stays empty
  }
  const brush = backdrop.getContext("2d");
  const small = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
  for (let start = 0, portion = hf.state.decode ? TILES : TILES * TILES; start < cells.length; start += portion) {
    const some = cells.slice(start, start + portion);
    const { images } = (await hf.decodeAll(some.map((cell) => cell.z)).catch(() => null)) ?? {};
    if (job !== tiling || !images) return;
    if (start === 0) {
      backdrop.width = backdrop.height = 28 * TILES;
      tiled = middle;
    }
    some.forEach(({ column, row }, i) => {
      hf.paint(small, images[i]);
      brush.drawImage(small, 28 * column, 28 * row);
    });
    redraw();
    await new Promise(requestAnimationFrame);
  }
}

// Moving about

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
const middle = () => [canvas.width / 2, canvas.height / 2];
function showAll() {
  view = { x: 0, y: 0, zoom: 1 };
  settle();
}

function hover(place) {
  hovered = place && latentAt(...toMap(place));
  showImage();
  describe();
  compose();
}
function pin(target) {
  hovered = null;
  if (target) hf.setZ(target.z, "map");
}

// A mouse hovers, drags the map and clicks; a finger decodes as it goes and pins where it leaves; two fingers zoom.
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !atlas) return;
  canvas.setPointerCapture(event.pointerId);
  const at = hf.eventPosition(canvas, event);
  pointers.set(event.pointerId, { at, start: at });
});
canvas.addEventListener("pointermove", (event) => {
  if (!atlas) return;
  const at = hf.eventPosition(canvas, event);
  const pointer = pointers.get(event.pointerId);
  if (!pointer) return hover(at);
  const before = pointer.at;
  pointer.at = at;
  pointer.moved ||= Math.hypot(at[0] - pointer.start[0], at[1] - pointer.start[1]) > CLICK_TOLERANCE;
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((candidate) => candidate !== pointer);
    pointer.pinches = other.pinches = true;
    const apart = (place) => Math.hypot(place[0] - other.at[0], place[1] - other.at[1]) || 1;
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
  if (event.pointerType === "touch" || !pointer.moved) pin(latentAt(...toMap(pointer.at)));
});
canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
canvas.addEventListener("pointerleave", () => atlas && hover(null));
canvas.addEventListener("wheel", (event) => {
  if (!atlas) return;
  event.preventDefault();
  zoomAt(hf.eventPosition(canvas, event), Math.exp(-event.deltaY / 400));
}, { passive: false });
frame.addEventListener("keydown", (event) => {
  if (!atlas) return;
  const step = hf.arrows[event.key];
  if (step) {
    const [x, y] = hovered?.place ?? atlas.project(hf.state.z);
    const [px, py] = toPixels([x, y]);
    stepTo([px + 10 * step[0], py - 10 * step[1]], step);
  } else if (event.key === "Enter" && hovered) pin(hovered);
  else if (event.key === "+" || event.key === "=") zoomAt(middle(), 1.5);
  else if (event.key === "-") zoomAt(middle(), 1 / 1.5);
  else if (event.key === "0") showAll();
  else return;
  event.preventDefault();
});
// An arrow key's step; on a projection it goes on until it reaches another image's code.
function stepTo([px, py], step) {
  const from = hovered?.nearest;
  for (let i = 0; i < 20; i++) {
    hover([px + 10 * i * step[0], py - 10 * i * step[1]]);
    if (!hf.state.model.projected || hovered?.nearest !== from) return;
  }
}
find("[data-do=in]").addEventListener("click", () => zoomAt(middle(), 1.5));
find("[data-do=out]").addEventListener("click", () => zoomAt(middle(), 1 / 1.5));
find("[data-do=all]").addEventListener("click", showAll);
manifold.addEventListener("change", () => {
  redraw();
  tile();
});

function renderLegend({ classes }) {
  const colours = hf.colours(classes.length);
  hidden.clear();
  const buttons = classes.map((name, label) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name, className: "hf-class" });
    button.style.setProperty("--class-colour", colours[label]);
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

async function adopt() {
  const { model } = hf.state;
  const { hasMap, projected, latentDim, dataset } = model;
  renderLegend(model);
  atlas = hovered = tiled = null;
  tiling += 1;
  view = { x: 0, y: 0, zoom: 1 };
  find(".hf-where").textContent = find(".hf-nearest").textContent = "";
  find(".hf-note").textContent = !hasMap
    ? "This model comes without latent codes, so there is no map of them."
    : projected
      ? `The test images of ${dataset} by class. ${latentDim} latents do not fit on a page: this is their projection onto the ` +
        "two principal directions. A place on it has no single latent point, so it decodes to the nearest image's code."
      : `The test images of ${dataset} by class, each where the model's two latents put it. Any place can be decoded.`;
  redraw();
  showImage();
  const fetched = await hf.atlas(model, server);
  if (model !== hf.state.model || !fetched) return;
  atlas = fetched;
  view.zoom = atlas.reach / atlas.usual; // a few points far out do not push the others together
  redraw();
  describe();
  tile();
}
hf.listen((what) => {
  if (what === "model") return adopt();
  if (what === "z") {
    describe();
    compose();
  }
  if (what === "image") showImage();
});
adopt();
