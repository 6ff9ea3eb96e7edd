const COUNT = 24;
const grid = find("#prior");
let seed = hf.newSeed(); // of the draws, which the temperature scales

// Draws follow the temperature while it moves; only the latest ones count.
const update = hf.latest(
  async ({ model, ...request }) => {
    const { points, images, ...refusal } = await hf.draws(server.draws, COUNT, request.seed, request.temperature);
    return points ? { points, ...(images ? { images } : await hf.decodeAll(points)) } : refusal;
  },
  ({ points, images }) => {
    if (images) hf.renderStrip(grid, images, () => "Move to this point", (i) => hf.setZ(points[i], "prior"));
  },
);
const show = () => update({ model: hf.state.model.name, seed, temperature: hf.state.temperature });
function renew() {
  seed = hf.newSeed();
  show();
}
function adopt() {
  const { prior, item } = hf.state.model;
  find(".hf-prior-title").textContent = `New ${item}s from the prior`;
  find(".hf-note").textContent =
    `Random latent points from the prior ${prior}, decoded. ` +
    (hf.state.model.tempered ? "The temperature above widens or narrows their spread; press one to move there." : "Press one to move there.");
  renew();
}
find("[data-do=renew]").addEventListener("click", renew);
hf.listen((what) => {
  if (what === "model") adopt();
  else if (what === "temperature") show();
});
adopt();
