// The steps from a drawing to its ELBO, with the numbers of the drawing on the pad.
const SHOWN = 4; // latents in the tables
const how = find("#how");
let epsilon = []; // the noise of the draw on show, one number a latent
let noise = hf.newSeed();
let told = null; // the answer whose numbers are on show

const decodeDraw = hf.latest(({ points }) => hf.decodeAll(points), ({ images }) => {
  if (images) hf.paint(find(".hf-how-decoded"), images[0]);
});

function table(place, rows, latents) {
  const cells = (tag, texts) => texts.map((text) => Object.assign(document.createElement(tag), { textContent: text }));
  const row = (texts, head) => {
    const line = document.createElement("tr");
    line.append(...cells("th", [texts[0]]), ...cells(head ? "th" : "td", texts.slice(1)));
    return line;
  };
  const numbers = (values) => latents.map((latent) => hf.number(values[latent], 2));
  const head = row(["", ...latents.map((latent) => `z${latent + 1}`)], true);
  find(place).replaceChildren(head, ...rows.map(([name, values]) => row([name, ...numbers(values)])));
}

function show() {
  const { judged, model } = hf.state;
  told = hf.verdict();
  const explained = told?.std;
  find(".hf-how-empty").hidden = Boolean(explained);
  find(".hf-how-empty").textContent = hf.t(!judged ? "how.empty" : told ? "how.no_std" : "moved");
  find(".hf-steps").hidden = !explained;
  find(".hf-how-code-image").textContent = `x = hfvae.sketch.to_digit(drawing)[None, None]${model.binary ? ".bernoulli()" : ""}`;
  if (!explained || !how.open) return;
  const { z: mean, std, seen, rate, distortion, elbo } = told;
  epsilon = hf.normal(noise, model.latentDim);
  const z = mean.map((value, i) => value + std[i] * epsilon[i]);
  const latents = model.ranking.slice(0, SHOWN);
  hf.paint(find(".hf-how-seen"), seen);
  table(".hf-how-posterior", [["μ", mean], ["σ", std]], latents);
  table(".hf-how-draw", [["ε", epsilon], ["z", z]], latents);
  decodeDraw({ model: model.name, points: [z] });
  find(".hf-how-elbo").textContent = hf.t("how.numbers", {
    distortion: hf.number(-distortion, 1), rate: hf.number(rate, 1), elbo: hf.number(elbo, 1), protocol: model.protocol,
  });
}
find("[data-do=epsilon]").addEventListener("click", () => {
  noise = hf.newSeed();
  show();
});
how.addEventListener("toggle", show);
find(".hf-how-seen").ariaLabel = hf.t("seen.title");
find(".hf-how-decoded").ariaLabel = hf.t("reconstruction.title");
hf.listen((what) => {
  if (what === "judged" || what === "model" || (what === "z" && hf.verdict() !== told)) show();
});
show();
