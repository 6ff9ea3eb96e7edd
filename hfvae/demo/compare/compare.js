// Several models side by side: the drawing on the pad, or draws by the same seed.
const MOST = 4; // models at once
const DRAWS = 12;
const what = find("[data-do=what]");
const choice = find(".hf-choice");
const table = find("#compared");
let seed = hf.newSeed();
let visible = false;
let wanted = null; // the request whose answers the table has, or will have: {models, ink or seed}; null for none

const chosen = () => [...choice.querySelectorAll("input:checked")].map((box) => hf.state.models.find(({ name }) => name === box.value));
function renderChoice() {
  hf.state.models.forEach((model, i) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: model.name, checked: i < 3 });
    box.addEventListener("change", update);
    label.append(box, ` ${model.title}`);
    choice.append(label);
  });
}

// One answer for each model, in their order; a server that is busy is asked again by `latest`.
const ask = hf.latest(
  async (request) => {
    const answers = [];
    for (const model of request.models) {
      const answer = request.ink
        ? await server.reconstruct({ model: model.name, ink: request.ink })
        : await server.draws({ model: model.name, count: DRAWS, seed: request.seed, temperature: 1 });
      if (!answer || answer.busy) return answer;
      answers.push(answer);
    }
    return { answers };
  },
  ({ answers }, { models }) => {
    find(".hf-compare-empty").textContent = models.length < 2 ? hf.t("compare.few") : "";
    render(models, answers);
  },
  (request) => request === wanted,
);

function update() {
  if (!visible) return;
  const models = chosen();
  for (const box of choice.querySelectorAll("input")) box.disabled = !box.checked && models.length >= MOST;
  const drawing = what.value === "drawing";
  find("[data-do=renew]").hidden = drawing;
  warn(models);
  const request = { models, ink: drawing ? hf.state.ink() : null, seed: drawing ? null : seed };
  const sameInk = wanted?.ink === request.ink;
  const sameModels = wanted?.models.length === models.length && models.every((model, i) => model === wanted.models[i]);
  if (sameInk && sameModels && wanted.seed === request.seed) return; // it is on show, or on its way
  if (!sameInk) table.replaceChildren(); // what is there is about another drawing
  const empty = drawing && !request.ink;
  wanted = empty || !models.length ? null : request;
  find(".hf-compare-empty").textContent = hf.t(empty ? "compare.empty" : wanted ? "waiting" : "compare.few");
  if (wanted) ask(wanted);
  else table.replaceChildren();
}
// Likelihoods of different protocols are numbers of different things.
function warn(models) {
  const protocols = new Set(models.map(({ protocol }) => protocol));
  find(".hf-protocols").textContent = protocols.size > 1 && what.value === "drawing" ? hf.t("compare.protocols") : "";
}

function render(models, answers) {
  table.replaceChildren(...models.map((model, i) => column(model, answers[i])));
}
function column(model, answer) {
  const article = document.createElement("article");
  const add = (tag, className, text) => {
    const element = Object.assign(document.createElement(tag), { className, textContent: text });
    article.append(element);
    return element;
  };
  add("h2", "", model.name);
  add("p", "hf-note", hf.t("compare.about", { count: model.latentDim, likelihood: model.likelihood, prior: model.prior }));
  if (answer.error) add("p", "hf-problem", answer.error);
  else if (answer.reconstruction) {
    const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28, className: "hf-image" });
    canvas.setAttribute("role", "img");
    canvas.ariaLabel = hf.t("compare.image", { name: model.name });
    hf.paint(canvas, hf.unpackImages(answer.reconstruction)[0]);
    add("div", "hf-frame", "").append(canvas);
    if (answer.reading) {
      const surest = Math.max(...answer.reading);
      add("p", "", hf.t("compare.reads", { name: model.classes[answer.reading.indexOf(surest)], share: hf.number(100 * surest) }));
    }
    add("p", "", hf.t("compare.elbo", { elbo: hf.number(answer.elbo, 1), rate: hf.number(answer.rate, 1) }));
    add("p", "hf-note", hf.t("compare.protocol", { protocol: model.protocol }));
  } else if (answer.images) {
    hf.renderStrip(add("div", "hf-strip", ""), hf.unpackImages(answer.images), (n) => hf.t("compare.random", { number: n + 1 }));
  }
  return article;
}

what.addEventListener("change", update);
find("[data-do=renew]").addEventListener("click", () => {
  seed = hf.newSeed();
  update();
});
hf.listen((change) => change === "judged" && update());
renderChoice();
new IntersectionObserver(([entry]) => {
  visible = entry.isIntersecting;
  update();
}).observe(element);
