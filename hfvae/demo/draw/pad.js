// The pad: strokes by mouse, finger, pen and keys.
import { base64 } from "../page/bytes.js";
import { ARROWS, undoStrokes } from "../page/keys.js";
import { link } from "../page/link.js";
import { eventPosition, newCanvas, paint, penOf, ring } from "../page/pictures.js";
import { notify, state } from "../page/state.js";
import { SIDE, beginStroke, extendStroke, readMarks, writeMarks } from "../page/strokes.js";
import { EXAMPLE, demonstrate } from "./demonstration.js";

/**
 * @typedef {import("../page/types").Mark} Mark
 * @typedef {import("../page/types").Picture} Picture
 * @typedef {import("../page/types").Stroke} Stroke
 * @typedef {ReturnType<typeof makePad>} Pad
 */

/**
 * @param {import("../page/types").Find} find
 * @param {(byVisitor: boolean) => void} changed is called at each change of the drawing
 */
export function makePad(find, changed) {
  const pad = find("#pad canvas", HTMLCanvasElement);
  const pen = penOf(pad);
  const width = find("[data-do=width]", HTMLInputElement);
  const small = newCanvas(0, 0); // the drawing as it is sent
  /** @type {Mark[]} */
  let marks = [];
  /** @type {{ mark?: Mark, cleared?: Mark[] }[]} */
  let undone = []; // marks, and lists of marks that were cleared
  /** @type {{ id: number, stroke: Stroke } | null} */
  let current = null; // what the pointer draws
  /** @type {{ at: [number, number], down: Stroke | null } | null} */
  let cursor = null; // the place of the keyboard's pen
  /** @type {Stroke | null} */
  let unfinished = null; // the part of the demonstration that is drawn so far
  let endDemonstration = () => {};

  function redraw() {
    pen.fillStyle = "black";
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.strokeStyle = "white";
    pen.lineCap = pen.lineJoin = "round";
    pen.imageSmoothingEnabled = false;
    for (const mark of [...marks, ...(unfinished ? [unfinished] : [])]) {
      if ("levels" in mark) pen.drawImage(canvasOf(mark), 0, 0, SIDE, SIDE);
      else drawStroke(pen, mark);
    }
    if (cursor) ring(pen, ...cursor.at, cursor.down ? 3 : 7);
    const own = marks.some((mark) => mark !== EXAMPLE);
    find(".hf-hint").hidden = own || cursor !== null;
    find(".hf-hint").classList.toggle("hf-low", marks.length > 0 || unfinished !== null);
  }

  // The grey levels of the pad, base64.
  function ink() {
    const side = state.model.pad;
    small.width = small.height = side;
    const context = penOf(small, { willReadFrequently: true });
    const [kept, part] = [cursor, unfinished];
    cursor = unfinished = null; // the marks alone
    redraw();
    context.drawImage(pad, 0, 0, side, side);
    [cursor, unfinished] = [kept, part];
    if (cursor || unfinished) redraw();
    const rgba = context.getImageData(0, 0, side, side).data;
    return base64(Uint8Array.from({ length: side * side }, (_, i) => rgba[4 * i]));
  }

  /** @param {Mark[]} next */
  function change(next) {
    stopDemonstration();
    marks = next;
    redraw();
    if (!current) remember();
    changed(true);
  }
  function undo() {
    const cleared = undone.at(-1)?.cleared;
    if (unfinished) return change([]);
    if (!marks.length && cleared) {
      undone.pop();
      return change(cleared);
    }
    if (!marks.length) return;
    undone.push({ mark: marks.at(-1) });
    change(marks.slice(0, -1));
  }
  function redo() {
    const mark = undone.at(-1)?.mark;
    if (!mark) return;
    undone.pop();
    change([...marks, mark]);
  }
  function clear() {
    if (marks.length) undone = [{ cleared: marks }];
    change([]);
  }
  /** @param {Mark} mark */
  function add(mark) {
    undone = [];
    change([...marks.filter((other) => other !== EXAMPLE), mark]);
  }
  /** @param {Picture} picture */
  function load(picture) {
    undone = [];
    change([picture]);
    notify("drawn");
  }
  // Keep the drawing where a reload, and the link, find it.
  function remember() {
    state.drawing = writeMarks(marks);
    link.write();
  }
  // Show the drawing that the page was opened with, or went back to.
  function takeOver() {
    const { drawing } = state;
    if (drawing === writeMarks(marks)) return;
    marks = drawing === writeMarks([EXAMPLE]) ? [EXAMPLE] : (readMarks(drawing) ?? []);
    undone = [];
    stopDemonstration();
    redraw();
  }
  function stopDemonstration() {
    endDemonstration();
    unfinished = null;
  }
  // The drawing that the page was opened with; else, where the address asks for nothing, one that draws itself.
  function start() {
    takeOver();
    redraw();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (marks.length || still || state.origin !== null) return;
    endDemonstration = demonstrate(
      (part) => {
        unfinished = part;
        redraw();
      },
      () => {
        stopDemonstration();
        marks = [EXAMPLE];
        redraw();
        remember();
        changed(false); // the point follows, unless the visitor has moved it meanwhile
      },
    );
  }

  // Pointers

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || current) return;
    pad.setPointerCapture(event.pointerId);
    current = { id: event.pointerId, stroke: beginStroke(Number(width.value), eventPosition(pad, event)) };
    add(current.stroke);
  });
  pad.addEventListener("pointermove", (event) => {
    if (event.pointerId !== current?.id) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) extendStroke(current.stroke, eventPosition(pad, move));
    change(marks);
  });
  /** @param {PointerEvent} event */
  const lift = (event) => {
    if (event.pointerId !== current?.id) return;
    current = null;
    change(marks);
    notify("drawn");
  };
  pad.addEventListener("pointerup", lift);
  pad.addEventListener("pointercancel", lift);
  find("[data-do=undo]").addEventListener("click", undo);
  find("[data-do=redo]").addEventListener("click", redo);
  find("[data-do=clear]").addEventListener("click", clear);

  // Keys: arrows move the pen, space lowers and lifts it

  find("#pad").addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step && event.key !== " " && event.key !== "Escape") return;
    event.preventDefault();
    cursor ??= { at: [SIDE / 2, SIDE / 4], down: null };
    if (event.key === " ") {
      if (cursor.down) notify("drawn");
      cursor.down = cursor.down ? null : beginStroke(Number(width.value), cursor.at);
      if (cursor.down) return add(cursor.down);
    } else if (event.key === "Escape") cursor = null;
    else {
      const inside = (/** @type {number} */ value) => Math.max(0, Math.min(SIDE, value));
      cursor.at = [inside(cursor.at[0] + 8 * step[0]), inside(cursor.at[1] - 8 * step[1])];
      if (cursor.down) {
        extendStroke(cursor.down, cursor.at);
        return change(marks);
      }
    }
    redraw();
  });
  find("#pad").addEventListener("blur", () => {
    cursor = null;
    redraw();
  });
  undoStrokes({ undo, redo });
  state.ink = () => (marks.length ? ink() : null);

  return {
    add, load, takeOver, start, ink,
    get empty() {
      return marks.length === 0;
    },
    /** Whether a pointer draws. */
    get inUse() {
      return current !== null;
    },
    get onShow() {
      return pad.offsetParent !== null;
    },
  };
}

/**
 * A curve through the midpoints between the points, so that fast strokes have no corners.
 * @param {CanvasRenderingContext2D} pen
 * @param {Stroke} stroke
 */
function drawStroke(pen, { width, points }) {
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [[x, y], [nextX, nextY]] = [points[i], points[i + 1]];
    pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  pen.lineTo(...points[points.length - 1]);
  pen.stroke();
}

/** @type {WeakMap<Picture, HTMLCanvasElement>} */
const canvases = new WeakMap();

/** @param {Picture} picture */
function canvasOf(picture) {
  const canvas = canvases.get(picture) ?? newCanvas(28, 28);
  if (!canvases.has(picture)) paint(canvas, picture.levels);
  canvases.set(picture, canvas);
  return canvas;
}
