// The posterior made visible: ten draws of it, and where they differ.
const panel = find("#posterior-panel");
const opener = find("[data-do=posterior]");
const posteriorShown = () => !panel.hidden;

const askPosterior = hf.latest(server.posterior, (answer) => renderPosterior(answer.empty ? null : answer));

function renderPosterior(answer) {
  const images = answer ? hf.unpackImages(answer.images) : [];
  hf.renderStrip(find("#posterior"), images, (i) => hf.t("posterior.draw", { number: i + 1 }));
  hf.paint(find("#deviation canvas"), answer ? hf.unpackImages(answer.deviation)[0] : null);
  find(".hf-posterior-empty").hidden = answer !== null;
}
opener.addEventListener("click", () => {
  panel.hidden = !panel.hidden;
  opener.ariaExpanded = String(!panel.hidden);
  if (!panel.hidden) {
    askPosterior(request);
    panel.scrollIntoView({ block: "nearest" });
  }
});
find("[data-do=resample]").addEventListener("click", () => askPosterior(request));
