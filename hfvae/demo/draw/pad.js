// The pad: strokes by mouse, finger, pen and keys.
const SIDE = 280;
const pad = find("#pad canvas");
const pen = pad.getContext("2d");
const width = find("[data-do=width]");
const small = document.createElement("canvas"); // the drawing as it is sent
let marks = []; // strokes {width, points: [[x, y], ...]} and pictures {levels, image}, as strokes.js makes them
let undone = []; // marks, or lists of marks that were cleared
let current = null; // what the pointer draws, {id of the pointer, stroke}
let cursor = null; // the place of the keyboard's pen, {at, down}

function redraw() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.strokeStyle = "white";
  pen.lineCap = pen.lineJoin = "round";
  pen.imageSmoothingEnabled = false;
  for (const mark of [...marks, ...(unfinished ? [unfinished] : [])]) mark.image ? pen.drawImage(mark.image, 0, 0, SIDE, SIDE) : drawStroke(mark);
  if (cursor) hf.ring(pen, ...cursor.at, cursor.down ? 3 : 7);
  const own = marks.some((mark) => mark !== example);
  find(".hf-hint").hidden = own || cursor !== null;
  find(".hf-hint").classList.toggle("hf-low", marks.length > 0 || unfinished !== null);
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
  const [kept, part] = [cursor, unfinished];
  cursor = unfinished = null; // the marks alone
  redraw();
  context.drawImage(pad, 0, 0, side, side);
  [cursor, unfinished] = [kept, part];
  if (cursor || unfinished) redraw();
  const rgba = context.getImageData(0, 0, side, side).data;
  return hf.base64(Uint8Array.from({ length: side * side }, (_, i) => rgba[4 * i]));
}
hf.state.ink = () => (marks.length ? ink() : null);

// The visitor changes the drawing: the point goes where its encoding is.
function change(next) {
  unfinished = null;
  marks = next;
  redraw();
  follows = true;
  if (!current) remember();
  look();
}
function undo() {
  if (unfinished) return change([]);
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
  hf.state.drawing = hf.strokes.write(marks);
  hf.link.write();
}
// Show the drawing that the page was opened with, or went back to.
function takeOver() {
  const { drawing } = hf.state;
  if (drawing === hf.strokes.write(marks)) return;
  marks = hf.strokes.read(drawing) ?? [];
  if (drawing === hf.strokes.write([example])) marks = [example];
  undone = [];
  unfinished = null;
  redraw();
}

// Pointers

pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || current) return;
  pad.setPointerCapture(event.pointerId);
  current = { id: event.pointerId, stroke: hf.strokes.begin(Number(width.value), hf.eventPosition(pad, event)) };
  begin(current.stroke);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== current?.id) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length ? moves : [event]) hf.strokes.extend(current.stroke, hf.eventPosition(pad, move));
  change(marks);
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId !== current?.id) return;
    current = null;
    change(marks);
    hf.notify("drawn");
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
    if (cursor.down) hf.notify("drawn");
    cursor.down = cursor.down ? null : hf.strokes.begin(Number(width.value), cursor.at);
    if (cursor.down) return begin(cursor.down);
  } else if (event.key === "Escape") cursor = null;
  else {
    const inside = (value) => Math.max(0, Math.min(SIDE, value));
    cursor.at = [inside(cursor.at[0] + 8 * step[0]), inside(cursor.at[1] - 8 * step[1])];
    if (cursor.down) {
      hf.strokes.extend(cursor.down, cursor.at);
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

// The drawing that the page was opened with; else, where the address asks for nothing, one that draws itself.
function start() {
  takeOver();
  redraw();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!marks.length && !still && hf.state.origin === null) demonstrate();
}
