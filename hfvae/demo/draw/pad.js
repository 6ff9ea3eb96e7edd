// The pad: strokes by mouse, finger, pen and keys, images from elsewhere, and a first stroke that draws itself.
const SIDE = 280;
const pad = find("#pad canvas");
const pen = pad.getContext("2d");
const width = find("[data-do=width]");
const small = document.createElement("canvas"); // the drawing as it is sent
const KEEP = "hfvae-drawing"; // of this browser tab: a reload brings the drawing back
let marks = []; // strokes {width, points: [[x, y], ...]} and loaded images {image}
let undone = []; // marks, or lists of marks that were cleared
let current = null; // the stroke under the pointer
let cursor = null; // the place of the keyboard's pen, {at, down}

function redraw() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.strokeStyle = "white";
  pen.lineCap = pen.lineJoin = "round";
  pen.imageSmoothingEnabled = false;
  for (const mark of marks) mark.image ? pen.drawImage(mark.image, 0, 0, SIDE, SIDE) : drawStroke(mark);
  if (cursor) hf.ring(pen, ...cursor.at, cursor.down ? 3 : 7);
  const own = marks.some((mark) => mark !== example);
  find(".hf-hint").hidden = own || cursor !== null;
  find(".hf-hint").classList.toggle("hf-low", marks.length > 0);
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

// The grey levels of the pad, base64.
function ink() {
  const side = hf.state.model.pad;
  small.width = small.height = side;
  const context = small.getContext("2d", { willReadFrequently: true });
  if (cursor) hideCursor(() => context.drawImage(pad, 0, 0, side, side));
  else context.drawImage(pad, 0, 0, side, side);
  const rgba = context.getImageData(0, 0, side, side).data;
  return hf.base64(Uint8Array.from({ length: side * side }, (_, i) => rgba[4 * i]));
}
function hideCursor(act) {
  const kept = cursor;
  cursor = null;
  redraw();
  act();
  cursor = kept;
  redraw();
}
hf.state.ink = () => (marks.length ? ink() : null);

function change(next) {
  marks = next;
  redraw();
  update();
}
function undo() {
  if (!marks.length && undone.at(-1)?.cleared) return change(undone.pop().cleared);
  if (!marks.length) return;
  undone.push({ mark: marks.at(-1) });
  change(marks.slice(0, -1));
}
function redo() {
  if (undone.at(-1)?.mark) change([...marks, undone.pop().mark]);
}
function clear() {
  if (marks.length) undone = [{ cleared: marks }];
  change([]);
}
function begin(mark) {
  undone = [];
  change([...marks.filter((other) => other !== example), mark]);
}
// Keep the drawing where a reload, and the link, find it.
function remember() {
  hf.link.drawing = hf.strokes.write(marks.filter((mark) => mark !== example));
  if (hf.link.drawing) sessionStorage.setItem(KEEP, hf.link.drawing);
  else sessionStorage.removeItem(KEEP);
}

// Pointers

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || current) return;
  pad.setPointerCapture(event.pointerId);
  current = { id: event.pointerId, width: Number(width.value), points: [hf.eventPosition(pad, event)] };
  begin(current);
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
find("[data-do=undo]").addEventListener("click", undo);
find("[data-do=redo]").addEventListener("click", redo);
find("[data-do=clear]").addEventListener("click", clear);

// Keys: arrows move the pen, space lowers and lifts it

find("#pad").addEventListener("keydown", (event) => {
  const step = hf.arrows[event.key];
  if (!step && event.key !== " " && event.key !== "Escape") return;
  event.preventDefault();
  cursor ??= { at: [SIDE / 2, SIDE / 4], down: null };
  if (event.key === " ") {
    cursor.down = cursor.down ? null : { width: Number(width.value), points: [[...cursor.at]] };
    if (cursor.down) return begin(cursor.down);
  } else if (event.key === "Escape") cursor = null;
  else {
    const inside = (value) => Math.max(0, Math.min(SIDE, value));
    cursor.at = [inside(cursor.at[0] + 8 * step[0]), inside(cursor.at[1] - 8 * step[1])];
    if (cursor.down) {
      cursor.down.points.push([...cursor.at]);
      return change(marks);
    }
  }
  redraw();
});
find("#pad").addEventListener("blur", () => {
  cursor = null;
  redraw();
});
hf.strokeHistory = { undo, redo };

// Images: a file or photograph, dropped, pasted or chosen. It stays in this page.

async function openImage(blob) {
  if (!blob?.type.startsWith("image/")) return hf.say(hf.t("pad.open.none"));
  const image = await createImageBitmap(blob).catch(() => null);
  if (!image) return hf.say(hf.t("pad.open.none"));
  const ink = inkOf(image);
  if (!ink) return hf.say(hf.t("pad.open.blank"));
  hf.say("");
  begin({ image: ink });
}

// The grey levels (0 to 255) of a picture's RGBA, with transparency as hfvae.images.composite has it.
function composite(data, wide, high) {
  const alpha = Float32Array.from({ length: wide * high }, (_, i) => data[4 * i + 3] / 255);
  const grey = alpha.map((_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  if (alpha.every((value) => value === 1)) return grey;
  const visible = alpha.some((value) => value >= 0.5) ? (value) => value >= 0.5 : (value) => value > 0;
  const median = (values) => values.sort()[(values.length - 1) >> 1];
  const solid = grey.filter((_, i) => visible(alpha[i]));
  const level = median(solid); // solid is sorted now
  const edge = alpha.filter((_, i) => i < wide || i >= wide * (high - 1) || i % wide === 0 || i % wide === wide - 1);
  const ownGround = median(edge) >= 0.5 && solid.at(-1) - solid[0] >= 16;
  if (ownGround) return grey.map((value, i) => value * alpha[i] + level * (1 - alpha[i]));
  return grey.map((value, i) => alpha[i] * (level > 127.5 ? value : 255 - value));
}

// An image as white ink on black that fills the pad: grey levels from the ground's to the ink's side, as hfvae.sketch takes
// them: the border is mostly ground.
function inkOf(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  const scale = Math.min(SIDE / image.width, SIDE / image.height);
  const [wide, high] = [scale * image.width, scale * image.height].map((side) => Math.max(1, Math.round(side)));
  const [left, top] = [Math.floor((SIDE - wide) / 2), Math.floor((SIDE - high) / 2)];
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, wide, high);
  const picture = context.getImageData(left, top, wide, high);
  const { data } = picture;
  const grey = composite(data, wide, high);
  const border = grey.filter((_, i) => i < wide || i >= wide * (high - 1) || i % wide === 0 || i % wide === wide - 1).sort();
  const ground = border[border.length >> 1];
  const range = grey.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [255, 0]);
  if (range[1] - range[0] < 16) return null; // nothing but ground
  const light = ground > (range[0] + range[1]) / 2;
  const reach = light ? ground - range[0] : range[1] - ground;
  // paper is uneven: a fifth of the range counts as ground still
  grey.forEach((value, i) => {
    const ink = ((light ? ground - value : value - ground) / reach - 0.2) / 0.6;
    data.fill(255 * Math.max(0, Math.min(1, ink)), 4 * i, 4 * i + 3);
    data[4 * i + 3] = 255;
  });
  context.fillStyle = "black";
  context.fillRect(0, 0, SIDE, SIDE);
  context.putImageData(picture, left, top);
  return canvas;
}
find("[data-do=open]").addEventListener("change", (event) => {
  openImage(event.target.files[0]);
  event.target.value = "";
});
for (const kind of ["dragover", "drop"]) {
  find(".hf-pad").addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "drop") openImage(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
  if (!file || !pad.offsetParent) return;
  event.preventDefault();
  openImage(file);
});
function load(canvas) {
  const image = document.createElement("canvas");
  image.width = image.height = 28;
  image.getContext("2d").drawImage(canvas, 0, 0);
  undone = [];
  change([{ image }]);
}

// A first drawing that draws itself, once, until somebody touches the page; the first stroke replaces it

const EXAMPLE = [[84, 92], [100, 66], [134, 54], [168, 66], [180, 94], [168, 122], [132, 138], [170, 150], [188, 180], [174, 214], [136, 230], [98, 218], [80, 192]];
const SECONDS = 2.2;
const example = { width: 22, points: [EXAMPLE[0]] };
let showing = false;
function demonstrate() {
  const touches = ["pointerdown", "keydown", "wheel"];
  const stop = () => {
    showing = false;
    for (const kind of touches) removeEventListener(kind, stop, true);
  };
  for (const kind of touches) addEventListener(kind, stop, true);
  showing = true;
  let began = null;
  const frame = (now) => {
    if (!showing) return;
    began ??= now;
    const reached = Math.min(1, (now - began) / 1000 / SECONDS) * (EXAMPLE.length - 1);
    const [whole, part] = [Math.floor(reached), reached % 1];
    const [[x, y], [nextX, nextY]] = [EXAMPLE[whole], EXAMPLE[Math.min(whole + 1, EXAMPLE.length - 1)]];
    example.points = [...EXAMPLE.slice(0, whole + 1), [x + part * (nextX - x), y + part * (nextY - y)]];
    change([example]);
    if (whole < EXAMPLE.length - 1) requestAnimationFrame(frame);
    else stop();
  };
  requestAnimationFrame(frame);
}

// The drawing of the link or of before a reload; else, where nothing else is asked for, one that draws itself.
function start() {
  const kept = hf.state.origin === null ? sessionStorage.getItem(KEEP) : null;
  marks = hf.strokes.read(hf.link.drawing ?? kept) ?? [];
  redraw();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!marks.length && !still && hf.state.origin === null) demonstrate();
}
