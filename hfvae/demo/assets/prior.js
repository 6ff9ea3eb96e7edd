const COUNT = 24;
const grid = find("#prior");
let draws = []; // standard normal; the temperature scales them

const scaled = () => draws.map((draw) => draw.map((value) => hf.state.temperature * value));
// Draws follow the temperature while it moves; only the latest picture counts.
const decode = hf.latest(
  ({ points }) => hf.decodeAll(points),
  ({ pictures }) => {
    if (pictures) hf.strip(grid, pictures, () => "Move to this point", (i) => hf.setZ(scaled()[i], "prior"));
  },
);
const show = () => decode({ model: hf.state.model.name, points: scaled() });
function renew() {
  draws = Array.from({ length: COUNT }, () => Array.from({ length: hf.state.model.latentDim }, hf.normal));
  show();
}
find("[data-do=renew]").addEventListener("click", renew);
hf.listen((what) => {
  if (what === "model") renew();
  else if (what === "temperature") show();
});
renew();
