const panel = find("#sliders");
const generated = find("#generated canvas");
const more = find("[data-do=more]");
let inputs = []; // in latent order; CSS shows them by activity

const ask = hf.latest(server.decode, (answer) => {
  hf.say(find(".hf-problem"), answer.error);
  if (!answer.error) hf.paint(generated, answer.image);
});
const update = () => ask({ model: hf.state.model.name, z: hf.state.z });

function slider(latent, rank) {
  const model = hf.state.model;
  const label = document.createElement("label");
  label.className = "hf-slider";
  label.style.order = rank;
  label.classList.toggle("hf-folded", rank >= model.shown);
  label.classList.toggle("hf-dead", !model.active[latent]);
  const input = Object.assign(document.createElement("input"), {
    type: "range", min: -model.span, max: model.span, step: 0.01, value: 0,
  });
  const name = document.createElement("span");
  name.textContent = `z${latent + 1}${model.active[latent] ? "" : " (unused)"}`;
  const value = document.createElement("output");
  input.addEventListener("input", () => {
    hf.state.z[latent] = Number(input.value);
    value.textContent = Number(input.value).toFixed(2);
    hf.setZ(hf.state.z, "sliders");
    update();
  });
  label.append(name, input, value);
  return label;
}

function show() {
  inputs.forEach((input, latent) => {
    input.value = hf.state.z[latent];
    input.nextElementSibling.textContent = hf.state.z[latent].toFixed(2);
  });
  update();
}

function fold(folded) {
  const hidden = hf.state.model.latentDim - hf.state.model.shown;
  panel.classList.toggle("hf-all", !folded);
  more.hidden = hidden <= 0;
  more.textContent = folded ? `Show the ${hidden} less active latents` : "Show fewer";
}

function build() {
  const { latentDim, ranking } = hf.state.model;
  panel.replaceChildren(...Array.from({ length: latentDim }, (_, latent) => slider(latent, ranking.indexOf(latent))));
  inputs = [...panel.querySelectorAll("input")];
  hf.wipe(generated);
  fold(true);
  show();
}

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
function jump(z) {
  hf.setZ(z, "sliders");
  show();
}
find("[data-do=random]").addEventListener("click", () => jump(hf.state.z.map(normal)));
find("[data-do=zero]").addEventListener("click", () => jump(hf.state.z.map(() => 0)));
more.addEventListener("click", () => fold(panel.classList.contains("hf-all")));
hf.listen((what, origin) => {
  if (what === "model") build();
  else if (origin !== "sliders") show();
});
build();
