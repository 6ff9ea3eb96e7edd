// Several models side by side: the drawing on the pad, or draws by the same seed.
import { unpackImages } from "../page/bytes.js";
import { latest } from "../page/calls.js";
import { newSeed } from "../page/noise.js";
import { newCanvas, paint, renderStrip } from "../page/pictures.js";
import { widget } from "../page/start.js";
import { listen, state } from "../page/state.js";
import { number, t } from "../page/text.js";

/** @typedef {import("../page/types").Model} Model */

const MOST = 4; // models at once
const DRAWS = 12;

export default widget(({ element, find, server }) => {
  const what = find("[data-do=what]", HTMLSelectElement);
  const choice = find(".hf-choice");
  const table = find("#compared");
  let seed = newSeed();
  let visible = false;
  /** @type {{ models: Model[], ink: string | null, seed: number | null } | null} */
  let wanted = null; // the request whose answers the table has, or will have: {models, ink or seed}; null for none

  const boxes = () => [...choice.querySelectorAll("input")];
  const chosen = () => state.models.filter((_, i) => boxes()[i].checked);
  function renderChoice() {
    state.models.forEach((model, i) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", value: model.name, checked: i < 3 });
      box.addEventListener("change", update);
      label.append(box, ` ${model.title}`);
      choice.append(label);
    });
  }

  // One answer for each model, in their order; a server that is busy is asked again by `latest`.
  const ask = latest(
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
      find(".hf-compare-empty").textContent = models.length < 2 ? t("compare.few") : "";
      render(models, answers);
    },
    (request) => request === wanted,
  );

  function update() {
    if (!visible) return;
    const models = chosen();
    for (const box of boxes()) box.disabled = !box.checked && models.length >= MOST;
    const drawing = what.value === "drawing";
    find("[data-do=renew]").hidden = drawing;
    warn(models);
    const request = { models, ink: drawing ? state.ink() : null, seed: drawing ? null : seed };
    const sameInk = wanted?.ink === request.ink;
    const sameModels = String(wanted?.models.map(({ name }) => name)) === String(models.map(({ name }) => name));
    if (sameInk && sameModels && wanted?.seed === request.seed) return; // it is on show, or on its way
    if (!sameInk) table.replaceChildren(); // what is there is about another drawing
    const empty = drawing && !request.ink;
    wanted = empty || !models.length ? null : request;
    find(".hf-compare-empty").textContent = t(empty ? "compare.empty" : wanted ? "waiting" : "compare.few");
    if (wanted) ask(wanted);
    else table.replaceChildren();
  }
  /**
   * Likelihoods of different protocols are numbers of different things.
   * @param {Model[]} models
   */
  function warn(models) {
    const protocols = new Set(models.map(({ protocol }) => protocol));
    find(".hf-protocols").textContent = protocols.size > 1 && what.value === "drawing" ? t("compare.protocols") : "";
  }

  /**
   * @param {Model[]} models
   * @param {any[]} answers
   */
  function render(models, answers) {
    table.replaceChildren(...models.map((model, i) => column(model, answers[i])));
  }
  /**
   * @param {Model} model
   * @param {any} answer
   */
  function column(model, answer) {
    const article = document.createElement("article");
    /** @type {(tag: string, className: string, text: string) => HTMLElement} */
    const add = (tag, className, text) => {
      const element = Object.assign(document.createElement(tag), { className, textContent: text });
      article.append(element);
      return element;
    };
    add("h2", "", model.name);
    add("p", "hf-note", t("compare.about", { count: model.latentDim, likelihood: model.likelihood, prior: model.prior }));
    if (answer.error) add("p", "hf-problem", answer.error);
    else if (answer.reconstruction) {
      const canvas = Object.assign(newCanvas(28, 28), { className: "hf-image" });
      canvas.setAttribute("role", "img");
      canvas.ariaLabel = t("compare.image", { name: model.name });
      paint(canvas, unpackImages(answer.reconstruction)[0]);
      add("div", "hf-frame", "").append(canvas);
      if (answer.reading) {
        const surest = Math.max(...answer.reading);
        add("p", "", t("compare.reads", { name: model.classes[answer.reading.indexOf(surest)], share: number(100 * surest) }));
      }
      add("p", "", t("compare.elbo", { elbo: number(answer.elbo, 1), rate: number(answer.rate, 1) }));
      add("p", "hf-note", t("compare.protocol", { protocol: model.protocol }));
    } else if (answer.images) {
      renderStrip(add("div", "hf-strip", ""), unpackImages(answer.images), (n) => t("compare.random", { number: n + 1 }));
    }
    return article;
  }

  what.addEventListener("change", update);
  find("[data-do=renew]").addEventListener("click", () => {
    seed = newSeed();
    update();
  });
  listen((change) => change === "judged" && update());
  renderChoice();
  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    update();
  }).observe(element);
});
