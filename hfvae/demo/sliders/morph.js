// From one kept point to another, and arithmetic with three of them.
const STEPS = 9; // pictures of the film
const PATH_STEPS = 25; // points of a path that Python computes
const SECONDS = 3; // from A to B and back
const scrubber = find("#scrubber");
const film = find("#film");
const play = find("[data-do=play]");
const kind = find("[data-do=path]");
let playing = false;
let basePath = null; // points of the path through the prior's base space

const norm = (z) => Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));
const line = (a, b, t) => a.map((value, i) => value + t * (b[i] - value));
// As hfvae.inference.slerp: on the circle where there is one, else on the line.
function circle(a, b, t) {
  const [lengthA, lengthB] = [norm(a), norm(b)];
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (lengthA * lengthB);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  if (!(Math.sin(angle) > 1e-4)) return line(a, b, t);
  const length = lengthA + t * (lengthB - lengthA);
  const [shareA, shareB] = [(1 - t) * angle, t * angle].map((part) => (length * Math.sin(part)) / Math.sin(angle));
  return a.map((value, i) => (shareA * value) / lengthA + (shareB * b[i]) / lengthB);
}
// The point a share t of the way from A to B.
function at(t) {
  const { a, b } = hf.state.ends;
  if (kind.value === "circle") return circle(a.z, b.z, t);
  if (kind.value === "line" || !basePath) return line(a.z, b.z, t);
  const reached = t * (basePath.length - 1);
  const before = Math.min(Math.floor(reached), basePath.length - 2);
  return line(basePath[before], basePath[before + 1], reached - before);
}

const askPath = hf.latest(
  (request) => server.base_path(request),
  ({ z }, { a }) => {
    if (a !== hf.state.ends.a?.z) return; // another A meanwhile
    basePath = z;
    show();
  },
);
const renderFilm = hf.latest(
  ({ points }) => hf.decodeAll(points),
  ({ images }) => {
    if (!images || !hf.state.ends.b) return;
    const title = (i) => hf.t("morph.step", { share: Math.round((100 * i) / (STEPS - 1)) });
    hf.renderStrip(film, images, title, (i) => go(i / (STEPS - 1)));
  },
);

function go(t) {
  scrubber.value = t;
  hf.setZ(at(t), "morph");
}
function stop() {
  playing = false;
  play.textContent = hf.t("morph.play");
}
function show() {
  const { a, b, c } = hf.state.ends;
  stop();
  for (const end of ["a", "b", "c"]) hf.paint(find(`[data-keep=${end}] canvas`), hf.state.ends[end]?.image);
  for (const control of [scrubber, play, kind, find("[data-do=gif]")]) control.disabled = !a || !b;
  find("[data-do=arithmetic]").disabled = !a || !b || !c;
  find(".hf-hint-morph").textContent = hf.t(a && b ? "morph.hint" : a ? "morph.hint.b" : b ? "morph.hint.a" : "morph.hint.both");
  if (!a || !b) return film.replaceChildren();
  renderFilm({ model: hf.state.model.name, points: Array.from({ length: STEPS }, (_, i) => at(i / (STEPS - 1))) });
}
// The ends have changed, or the kind of path.
function renew() {
  const { a, b } = hf.state.ends;
  basePath = null;
  show();
  if (a && b && kind.value === "base") askPath({ model: hf.state.model.name, a: a.z, b: b.z, steps: PATH_STEPS });
}
function adopt() {
  const { basePath: hasBase, drawsInBrowser: isStandardNormal } = hf.state.model;
  kind.querySelector("[value=base]").hidden = !hasBase;
  kind.value = hasBase && !isStandardNormal ? "base" : "line"; // a line leaves what a learned prior makes likely
  scrubber.value = 0;
  renew();
}

scrubber.addEventListener("input", () => {
  stop();
  go(Number(scrubber.value));
});
kind.addEventListener("change", renew);
play.addEventListener("click", () => {
  if (playing) return stop();
  playing = true;
  play.textContent = hf.t("morph.pause");
  const began = performance.now() - scrubber.value * 500 * SECONDS;
  const frame = (now) => {
    if (!playing) return;
    const phase = ((now - began) / (500 * SECONDS)) % 2;
    go(phase > 1 ? 2 - phase : Math.max(0, phase));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
});
const download = hf.latest(server.animation, ({ gif }) => hf.saveAs(hf.bytes(gif), "image/gif", `${hf.fileName("morph")}.gif`));
find("[data-do=gif]").addEventListener("click", () => {
  const points = Array.from({ length: PATH_STEPS }, (_, i) => at(i / (PATH_STEPS - 1)));
  download({ model: hf.state.model.name, z: points });
});
find("[data-do=arithmetic]").addEventListener("click", () => {
  const { a, b, c } = hf.state.ends;
  hf.setZ(a.z.map((value, i) => value - b.z[i] + c.z[i]), "arithmetic");
});
hf.listen((what) => {
  if (what === "ends") renew();
  else if (what === "model") adopt();
  else if (what === "z" && hf.state.origin !== "morph") stop();
});
adopt();
