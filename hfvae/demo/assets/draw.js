const pad = find("#pad canvas");
const pen = pad.getContext("2d");
const seen = find("#seen canvas");
const reconstruction = find("#reconstruction canvas");
const width = find("[data-do=width]");
const small = document.createElement("canvas"); // the drawing as it is sent
let strokes = []; // each {width, points: [[x, y], ...]}

function redraw() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, pad.width, pad.height);
  pen.strokeStyle = "white";
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.lineWidth = stroke.width;
    pen.beginPath();
    pen.moveTo(...stroke.points[0]);
    for (const point of stroke.points) pen.lineTo(...point);
    pen.stroke();
  }
  find(".hf-hint").hidden = strokes.length > 0;
}

function ink() {
  const side = hf.state.model.pad;
  small.width = small.height = side;
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(pad, 0, 0, side, side);
  const rgba = context.getImageData(0, 0, side, side).data;
  const grey = new Uint8Array(side * side);
  for (let i = 0; i < grey.length; i++) grey[i] = rgba[4 * i];
  return hf.base64(grey);
}

const ask = hf.latest(server.reconstruct, (answer) => {
  hf.say(find(".hf-problem"), answer.error);
  if (answer.error) return;
  if (answer.empty || !strokes.length) {
    hf.wipe(seen);
    hf.wipe(reconstruction);
    return;
  }
  hf.paint(seen, answer.seen);
  hf.paint(reconstruction, answer.reconstruction);
  hf.setZ(answer.z, "draw");
});
const update = () => ask({ model: hf.state.model.name, ink: ink() });

function place(event) {
  const box = pad.getBoundingClientRect();
  return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
}

let current = null; // the stroke under the pointer
pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || current) return;
  pad.setPointerCapture(event.pointerId);
  current = { id: event.pointerId, width: Number(width.value), points: [place(event)] };
  strokes.push(current);
  redraw();
  update();
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== current?.id) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  current.points.push(...(moves.length ? moves : [event]).map(place));
  redraw();
  update();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId === current?.id) current = null;
  });
}

function change(next) {
  strokes = next;
  redraw();
  update();
}
find("[data-do=undo]").addEventListener("click", () => change(strokes.slice(0, -1)));
find("[data-do=clear]").addEventListener("click", () => change([]));

function adopt() {
  hf.say(find(".hf-count"), hf.state.model.latentDim);
  hf.wipe(seen);
  hf.wipe(reconstruction);
  update();
}
hf.listen((what) => what === "model" && adopt());
redraw();
adopt();
