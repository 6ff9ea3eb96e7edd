// What the model makes of the drawing.
const whereabouts = find("#whereabouts canvas");
const MAX_BARS = 10; // classes whose probabilities are shown at once
const FULL_DIFFERENCE = 160; // the difference in grey levels that gets the full colour
const COST_SCALE = 60; // nats that the bar of costs shows at least
const UNUSUAL = 5; // percent of the test images below which a drawing is unlike them
const root = document.documentElement;
let drawn = 0; // counts the changes of the drawing
let follows = [null, "draw"].includes(hf.state.origin); // whether the latent point goes where the drawing's encoding is
let told = null; // what `judge` last told of (`standing`)
let atlas = null;
let backdrop = null; // the test set behind the small map

const ask = hf.latest(({ model, ink }) => server.reconstruct({ model, ink }), (answer, { revision }) => {
  root.dataset.ready = "true";
  if (answer.empty || !marks.length) return;
  hf.renewed(root);
  const [[seen], [reconstruction]] = [answer.seen, answer.reconstruction].map(hf.unpackImages);
  hf.setJudged({ ...answer, seen, reconstruction }, follows);
  if (revision !== drawn) hf.outdate(root, forget);
});
const request = () => ({ model: hf.state.model.name, ink: ink(), revision: drawn });

// Ask what the model makes of the drawing, which has changed; the answer about the earlier one goes soon.
function look() {
  drawn += 1;
  if (!marks.length) forget();
  else if (hf.state.judged) hf.outdate(root, forget);
  else judge();
  ask(request);
  samplePosterior();
}
function forget() {
  hf.renewed(root);
  hf.setJudged(null);
}

// The image is that of the current latent point, which may be another one than the drawing's.
function show() {
  const { image, exact, model, origin, judged } = hf.state;
  const moved = hf.moved();
  const shown = judged || moved ? image : null;
  hf.paint(find("#seen canvas"), judged?.seen);
  hf.paint(find("#reconstruction canvas"), shown);
  showDifference(hf.verdict()?.seen, exact ? shown : null);
  find(".hf-source").textContent = !moved
    ? hf.t("source.draw", { count: model.latentDim })
    : hf.t(origin === "draw" || origin === null ? "source.earlier" : `source.${origin}`);
  find("[data-do=back]").hidden = !moved || !marks.length;
  showWhereabouts();
}

function showDifference(seen, shown) {
  const canvas = find("#difference canvas");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, 28, 28);
  canvas.classList.toggle("hf-blank", !seen || !shown);
  if (!seen || !shown) return;
  const image = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) {
    const difference = seen[i] - shown[i];
    image.data.set(difference > 0 ? [255, 90, 60] : [70, 150, 255], 4 * i);
    image.data[4 * i + 3] = Math.min(255, (255 * Math.abs(difference)) / FULL_DIFFERENCE);
  }
  context.putImageData(image, 0, 0);
}

// The answer that is about the image on show, else whether that is another image than the drawing's.
const standing = () => hf.verdict() ?? hf.moved();
// What the model makes of the drawing, as long as the image on show is its answer.
function judge() {
  const { model } = hf.state;
  const answer = hf.verdict();
  const none = !marks.length ? null : hf.moved() ? "moved" : "waiting";
  told = standing();
  const names = { item: model.item, items: model.items, count: model.latentDim };
  const share = answer?.percentile;
  find("#percentile").value = share ?? 0;
  find(".hf-percentile").textContent = !answer
    ? hf.t(none ?? "percentile.empty")
    : share == null
      ? hf.t("percentile.unknown")
      : hf.t(share < UNUSUAL ? "percentile.unusual" : "percentile.share", { ...names, share: hf.number(share, share < 10 ? 1 : 0) });
  const reading = answer?.reading ?? [];
  const surest = Math.max(...reading);
  renderBars(reading);
  find(".hf-voted").textContent = !answer
    ? hf.t(none ?? "votes.empty")
    : reading.length
      ? hf.t(`votes.${model.readBy}`, { ...names, name: model.classes[reading.indexOf(surest)], share: hf.number(100 * surest) })
      : hf.t("votes.unknown");
  showCosts(answer);
}

// Rate and distortion on one scale: what the code costs, and what it misses. The distortion of densities may be negative,
// since they have no upper bound of 1; then the rate stands alone.
function showCosts(answer) {
  find(".hf-costs").hidden = !answer;
  if (!answer) return;
  const { rate, distortion, elbo } = answer;
  const all = Math.max(COST_SCALE, rate + Math.max(0, distortion));
  find(".hf-rate").style.width = `${(100 * rate) / all}%`;
  find(".hf-distortion").style.width = `${(100 * Math.max(0, distortion)) / all}%`;
  find(".hf-cost").textContent = hf.t("costs.sentence", {
    rate: hf.number(rate, 1), bits: hf.number(rate / Math.LN2), distortion: hf.number(distortion, 1), elbo: hf.number(elbo, 1),
  });
}

// A bar for each class, or, where there are too many, for the likeliest.
function renderBars(reading) {
  const { classes } = hf.state.model;
  const colours = hf.colours(classes.length);
  const likely = (label) => -(reading[label] ?? 0);
  const labels = classes.map((_, label) => label);
  const shown = classes.length <= MAX_BARS ? labels : labels.sort((a, b) => likely(a) - likely(b)).slice(0, MAX_BARS);
  const bars = shown.map((label) => {
    const bar = Object.assign(document.createElement("span"), { title: classes[label] });
    bar.style.setProperty("--class-colour", colours[label]);
    bar.style.setProperty("--share", reading[label] ?? 0);
    bar.append(document.createElement("i"), classes[label].slice(0, 3));
    return bar;
  });
  find("#votes").replaceChildren(...bars);
}

function showWhereabouts() {
  const context = whereabouts.getContext("2d");
  const side = whereabouts.width;
  context.clearRect(0, 0, side, side);
  find("#whereabouts").hidden = !hf.state.model.hasMap;
  if (!atlas) return;
  const scale = (0.47 * side) / atlas.usual;
  backdrop ??= atlas.backdrop(side, scale, 1.5);
  context.drawImage(backdrop, 0, 0);
  if (!hf.state.judged && !hf.moved()) return;
  const [x, y] = atlas.place(hf.state.z);
  hf.ring(context, side / 2 + scale * x, side / 2 - scale * y, 5);
}

// Test images to start from

const askExamples = hf.latest(server.class_examples, (answer) => {
  const { model } = hf.state;
  const names = { dataset: model.dataset, item: model.item };
  find(".hf-digits-note").textContent = hf.t(answer.real ? "examples.real" : "examples.decoded", names);
  const images = hf.unpackImages(answer.images);
  const title = (i) => hf.t("examples.load", { ...names, name: model.classes[answer.labels[i]] });
  hf.renderStrip(find("#digits"), images, title, (i) => load(images[i]));
});
function load(levels) {
  undone = [];
  change([hf.strokes.picture(levels)]);
  hf.notify("drawn");
}
find("[data-do=digits]").addEventListener("click", () => askExamples({ model: hf.state.model.name }));
find("[data-do=back]").addEventListener("click", () => {
  follows = true;
  if (hf.state.judged) hf.setJudged(hf.state.judged, true);
});

for (const [place, key] of [["seen", "seen.title"], ["reconstruction", "reconstruction.title"], ["difference", "difference.title"], ["deviation", "deviation.title"]]) {
  find(`#${place} canvas`).ariaLabel = hf.t(key);
  hf.offerSaving(find(`#${place}`), place);
}

async function adopt() {
  const { model } = hf.state;
  atlas = backdrop = null;
  follows = [null, "draw"].includes(hf.state.origin);
  find(".hf-hint").textContent = hf.t("pad.hint", { item: model.item });
  takeOver();
  dropPosterior();
  forget();
  look();
  find(".hf-examples").hidden = !model.hasMap;
  if (model.hasMap) askExamples({ model: model.name });
  const fetched = await hf.atlas(model, server);
  if (model !== hf.state.model) return;
  atlas = fetched;
  show();
}
hf.listen((what) => {
  if (what === "model") return adopt();
  if (what === "z") follows = [null, "draw"].includes(hf.state.origin);
  if (what === "drawing") {
    takeOver();
    look();
  }
  if (what === "image" || what === "judged") show();
  if (what === "judged" || (what === "z" && standing() !== told)) {
    judge();
    renderPosterior();
  }
});
start();
adopt();
