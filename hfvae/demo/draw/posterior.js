// The posterior made visible: ten draws of it, and where they differ.
const panel = find("#posterior-panel");
const opener = find("[data-do=posterior]");
let sampled = null; // Python's answer; renderPosterior leaves it out while the image on show is not the drawing's

const askPosterior = hf.latest(({ model, ink }) => server.posterior({ model, ink }), (answer, { revision }) => {
  if (!marks.length) return;
  hf.renewed(panel);
  sampled = answer.empty ? null : answer;
  if (revision !== drawn) hf.outdate(panel, dropPosterior);
  renderPosterior();
});
// Ask for draws, if they are on show and the drawing is finished.
function samplePosterior() {
  if (panel.hidden) return;
  if (!marks.length) return dropPosterior();
  if (sampled) hf.outdate(panel, dropPosterior);
  if (!current) askPosterior(request);
}
function dropPosterior() {
  hf.renewed(panel);
  sampled = null;
  renderPosterior();
}

function renderPosterior() {
  const shown = hf.moved() ? null : sampled;
  const images = shown ? hf.unpackImages(shown.images) : [];
  hf.renderStrip(find("#posterior"), images, (i) => hf.t("posterior.draw", { number: i + 1 }));
  hf.paint(find("#deviation canvas"), shown ? hf.unpackImages(shown.deviation)[0] : null);
  find("[data-do=resample]").disabled = !shown;
  find(".hf-posterior-empty").hidden = shown !== null;
  find(".hf-posterior-empty").textContent = hf.t(!marks.length ? "posterior.empty" : hf.moved() ? "moved" : "waiting");
}
opener.addEventListener("click", () => {
  panel.hidden = !panel.hidden;
  opener.ariaExpanded = String(!panel.hidden);
  renderPosterior();
  samplePosterior();
  if (!panel.hidden) panel.scrollIntoView({ block: "nearest" });
});
find("[data-do=resample]").addEventListener("click", samplePosterior);
