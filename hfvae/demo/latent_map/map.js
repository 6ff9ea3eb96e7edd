// The encoded test set by class: hover, click, drag, zoom, fingers and keys.
const TILES = 20; // of the backdrop, a side
const CLICK_TOLERANCE = 5; // pixels that a pointer may move in a click
const MAX_ZOOM = 40;
const frame = find("#map");
const canvas = find("#map canvas");
const pen = canvas.getContext("2d");
const decoded = find("#decoded canvas");
const manifold = find("[data-do=manifold]");
const layouts = find("[data-do=layout]");
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
    brush.globalAlpha = manifold.checked ? 0.45 : 0.7;
    atlas.draw(brush, [scale(), ...toPixels([0, 0])], Math.min(9, 4 + view.zoom / 2), hidden);
    brush.globalAlpha = 1;
    renderNames(brush);
  }
  compose();
}

// The classes' names at their clusters.
function renderNames(brush) {
  const { classes } = hf.state.model;
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
  drawTruth(pen, toPixels, scale());
  const [px, py] = toPixels(atlas.place(hf.state.z));
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
  hf.ring(pen, px, py, hf.verdict()?.spread ? 3 : 8); // ellipses are around it
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
  const [x, y] = shown.place.map((value) => hf.number(value, 2));
  find(".hf-where").textContent = hf.t(hovered ? "map.under" : "map.pinned", { x, y });
  const { classes, item, projected } = hf.state.model;
  const name = shown.nearest < 0 ? null : classes[atlas.labels[shown.nearest]];
  find(".hf-nearest").textContent = name === null ? "" : hf.t(hovered && projected ? "map.code" : "map.nearest", { item, name });
}
function latentHere() {
  const place = atlas.place(hf.state.z);
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
  if (!target) return;
  hf.setZ(target.z, "map");
  hf.link.pin();
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
    const [x, y] = hovered?.place ?? atlas.place(hf.state.z);
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
    const button = Object.assign(document.createElement("button"), { type: "button", className: "hf-class" });
    button.append(hf.stamp(label, colours[label], 12), name);
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
  const { hasMap, projected, latentDim, dataset } = hf.state.model;
  const kind = !hasMap ? "none" : !projected ? "plane" : (atlas?.chosen ?? "directions");
  find(".hf-map-note").textContent = hf.t(`map.note.${kind}`, { dataset, count: latentDim });
}
layouts.addEventListener("change", () => atlas?.choose(layouts.value));
function adoptLayout() {
  hovered = tiled = null;
  view = { x: 0, y: 0, zoom: atlas.reach / atlas.usual }; // a few points far out do not push the others together
  explain();
  settle();
  describe();
}

async function adopt() {
  const { model } = hf.state;
  renderLegend(model);
  atlas = hovered = tiled = null;
  tiling += 1;
  view = { x: 0, y: 0, zoom: 1 };
  manifold.checked = !model.projected; // decoded, a plane explains itself
  find(".hf-layout").hidden = true;
  find(".hf-where").textContent = find(".hf-nearest").textContent = "";
  resetTruth();
  explain();
  redraw();
  showImage();
  const fetched = await hf.atlas(model, server);
  if (model !== hf.state.model || !fetched) return;
  atlas = fetched;
  const names = Object.keys(atlas.layouts);
  layouts.replaceChildren(...names.map((name) => new Option(hf.t(`map.layout.${name}`), name, false, name === atlas.chosen)));
  find(".hf-layout").hidden = names.length < 2;
  adoptLayout();
}
decoded.ariaLabel = hf.t("decoded.title");
hf.offerSaving(find("#decoded"), "decoded");
hf.offerSaving(frame, "map");
hf.listen((what) => {
  if (what === "model") return adopt();
  if (what === "layout" && atlas) return adoptLayout();
  if (what === "z") describe();
  if (what === "z" || what === "judged") {
    askTruth();
    compose();
  }
  if (what === "image") showImage();
});
adopt();
