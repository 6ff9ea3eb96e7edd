const STEPS = 9;
const SECONDS = 3; // from A to B and back
const scrubber = find("#scrubber");
const film = find("#film");
const play = find("[data-do=play]");
const spherical = find("[data-do=spherical]");
let playing = false;

const norm = (z) => Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));
// As hfvae.inference.slerp: on the circle where there is one, else on the line.
function between(a, b, t) {
  const line = () => a.map((value, i) => value + t * (b[i] - value));
  const [lengthA, lengthB] = [norm(a), norm(b)];
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (lengthA * lengthB);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  if (!spherical.checked || !(Math.sin(angle) > 1e-4)) return line();
  const length = lengthA + t * (lengthB - lengthA);
  const [shareA, shareB] = [(1 - t) * angle, t * angle].map((part) => (length * Math.sin(part)) / Math.sin(angle));
  return a.map((value, i) => (shareA * value) / lengthA + (shareB * b[i]) / lengthB);
}
const at = (t) => between(hf.state.ends.a.z, hf.state.ends.b.z, t);

const renderFilm = hf.latest(
  ({ points }) => hf.decodeAll(points),
  ({ images }) => {
    if (!images || !hf.state.ends.b) return;
    hf.renderStrip(film, images, (i) => `${Math.round((100 * i) / (STEPS - 1))} % of the way`, (i) => go(i / (STEPS - 1)));
  },
);

function go(t) {
  scrubber.value = t;
  hf.setZ(at(t), "morph");
}
function stop() {
  playing = false;
  play.textContent = "Play";
}
function show() {
  const { a, b } = hf.state.ends;
  stop();
  hf.paint(find("[data-keep=a] canvas"), a?.image);
  hf.paint(find("[data-keep=b] canvas"), b?.image);
  for (const control of [scrubber, play, spherical, find("[data-do=gif]")]) control.disabled = !a || !b;
  find(".hf-hint-morph").textContent =
    a && b
      ? "A and B take the present point when pressed."
      : `Press ${a ? "B" : "A"} to keep the present point; then draw or pick another and press ${a ? "B" : "A, then B"}. Every tab moves along.`;
  if (!a || !b) return film.replaceChildren();
  renderFilm({ model: hf.state.model.name, points: Array.from({ length: STEPS }, (_, i) => at(i / (STEPS - 1))) });
}

scrubber.addEventListener("input", () => {
  stop();
  go(Number(scrubber.value));
});
spherical.addEventListener("change", () => {
  show();
  go(Number(scrubber.value));
});
play.addEventListener("click", () => {
  if (playing) return stop();
  playing = true;
  play.textContent = "Pause";
  const began = performance.now() - scrubber.value * 500 * SECONDS;
  const frame = (now) => {
    if (!playing) return;
    const phase = ((now - began) / (500 * SECONDS)) % 2;
    go(phase > 1 ? 2 - phase : Math.max(0, phase));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
});
const download = hf.latest(server.animation, ({ gif }, { model }) => {
  const url = URL.createObjectURL(new Blob([hf.bytes(gif)], { type: "image/gif" }));
  Object.assign(document.createElement("a"), { href: url, download: `${model.replaceAll("/", "-")}-morph.gif` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
});
find("[data-do=gif]").addEventListener("click", () => {
  const { model, ends } = hf.state;
  download({ model: model.name, a: ends.a.z, b: ends.b.z, spherical: spherical.checked });
});
hf.listen((what) => {
  if (what === "ends" || what === "model") show();
  else if (what === "z" && hf.state.origin !== "morph") stop();
});
show();
