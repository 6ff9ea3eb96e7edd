// Two latents: the encoder's posterior of the drawing as ellipses, and the exact posterior as a heat map.
const truth = find("[data-do=truth]");
let zooms = false; // whether the map moves to the next answer: it may be a speck
let exact = null; // Python's answer, with its picture, for the drawing `exact.of`

const fetchTruth = hf.latest(({ model, ink }) => server.exact_posterior({ model, ink }), (answer, { judged }) => {
  exact = answer.empty ? null : { ...answer, of: judged, picture: picture(answer) };
  if (exact && zooms) lookAt(exact);
  zooms = false;
  explainTruth();
  compose();
});
function askTruth() {
  const { model, ink } = hf.state;
  const judged = hf.verdict();
  explainTruth();
  if (!truth.checked || !judged || exact?.of === judged || model.latentDim !== 2) return;
  fetchTruth({ model: model.name, ink: ink(), judged });
}
function resetTruth() {
  exact = null;
  find(".hf-truth").hidden = hf.state.model.latentDim !== 2;
  explainTruth();
}

// The density as an opacity of one colour, x to the right and y upwards.
function picture({ density, side }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  hf.bytes(density).forEach((level, k) => {
    const [i, j] = [Math.floor(k / side), k % side];
    image.data.set([255, 40, 140, level], 4 * ((side - 1 - j) * side + i));
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function explainTruth() {
  const { judged, model } = hf.state;
  const note = find(".hf-truth-note");
  if (model.latentDim !== 2 || !truth.checked) note.textContent = "";
  else if (!hf.verdict()) note.textContent = hf.t(judged ? "moved" : "truth.empty");
  else if (exact?.of !== judged) note.textContent = hf.t("waiting");
  else {
    const { logLikelihood, elbo } = exact;
    const nats = { truth: hf.number(logLikelihood, 1), elbo: hf.number(elbo, 1), gap: hf.number(logLikelihood - elbo, 1) };
    note.textContent = hf.t("truth.note", nats);
  }
}

function drawTruth(pen, toPixels, scale) {
  const judged = hf.verdict();
  if (!judged) return;
  if (truth.checked && exact && exact.of === judged) {
    const { low, extent, picture } = exact;
    const [left, top] = toPixels([low[0], low[1] + extent]);
    pen.drawImage(picture, left, top, extent * scale, extent * scale);
  }
  if (!judged.spread) return;
  for (const deviations of [1, 2]) {
    const ring = Array.from({ length: 65 }, (_, i) => {
      const [c, s] = [Math.cos((i * Math.PI) / 32), Math.sin((i * Math.PI) / 32)].map((part) => deviations * part);
      const [[a], [b, d]] = judged.spread;
      return toPixels([judged.z[0] + a * c, judged.z[1] + b * c + d * s]);
    });
    for (const [width, colour] of [[4, "black"], [2, "white"]]) {
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.beginPath();
      ring.forEach((at, i) => (i ? pen.lineTo(...at) : pen.moveTo(...at)));
      pen.stroke();
    }
  }
}
function lookAt({ low, extent }) {
  view = { x: low[0] + extent / 2, y: low[1] + extent / 2, zoom: 1 };
  view.zoom = Math.min(MAX_ZOOM, (0.4 * canvas.width) / extent / scale());
  settle();
}
truth.addEventListener("change", () => {
  zooms = truth.checked;
  if (zooms && exact && exact.of === hf.verdict()) lookAt(exact);
  askTruth();
  compose();
});
