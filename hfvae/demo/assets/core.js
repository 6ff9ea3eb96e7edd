// What the widgets share: one model, one latent point, its picture, and the way to Python.
const hf = (window.hfvae ??= (() => {
  const RETRY = { first: 250, longest: 4000 }; // milliseconds
  const CROWDED = 40; // milliseconds: an answer that took longer is a sign to ask less often,
  const PATIENCE = 3; // namely to wait so many times the excess,
  const LONGEST = 1000; // but not longer than that
  const listeners = new Set();
  const state = {
    models: [],
    model: null,
    z: [], // the latent point
    origin: null, // who set it: draw, sliders, map, morph, prior, link; null for the start
    anchor: [], // the point that the sliders started from
    picture: null, // its image, 784 grey levels, as soon as it is decoded
    exact: false, // whether the picture is of z, and not of a point that z just left
    decode: null, // the model's decoder in this page, if it has one
    ends: { a: null, b: null }, // of the morph: {z, picture}
    temperature: 1,
    linkProblem: "", // what is wrong with the link that led here
  };
  let python = null; // the server functions that all widgets have
  let askPython, fetchDecoder;

  const notify = (what) => listeners.forEach((listener) => listener(what));
  const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const zero = () => new Array(state.model.latentDim).fill(0);
  const grey = (floats) => Uint8Array.from(floats, (value) => Math.round(255 * value));

  function init(models, server) {
    if (python) return;
    python = server;
    state.models = models;
    state.model = models[0];
    askPython = latest(python.decode, (answer, request) => {
      if (!state.exact) show(images(answer.images)[0], request.z[0] === state.z);
    });
    fetchDecoder = latest(python.weights, (answer) => {
      state.decode = hf.makeDecoder(answer);
      if (!state.exact) develop();
    });
    fromLink();
    if (state.model.decodesInBrowser) fetchDecoder({ model: state.model.name });
    develop();
  }

  function setModel(name) {
    const model = state.models.find((candidate) => candidate.name === name);
    if (!model || model === state.model) return;
    Object.assign(state, { model, origin: null, picture: null, exact: false, decode: null, ends: { a: null, b: null } });
    state.z = state.anchor = zero();
    if (model.decodesInBrowser) fetchDecoder({ model: name });
    notify("model");
    develop();
    writeLink();
  }

  // Move the one latent point; `picture` is its image, if the caller has it.
  function setZ(z, origin, picture = null) {
    state.z = Array.from(z);
    state.origin = origin;
    if (origin !== "sliders" && origin !== "morph") state.anchor = state.z;
    state.exact = false;
    notify("z");
    if (picture) show(picture, true);
    else develop();
    writeLink();
  }

  function develop() {
    if (state.decode) show(grey(state.decode(state.z)), true);
    else askPython({ model: state.model.name, z: [state.z] });
  }
  function show(picture, exact) {
    Object.assign(state, { picture, exact });
    notify("picture");
  }

  // The images of any latent points, without moving the one: {pictures}, {} if the model changed meanwhile, or whatever
  // the server says instead.
  async function decodeAll(points) {
    if (state.decode) return { pictures: points.map((z) => grey(state.decode(z))) };
    const model = state.model;
    const answer = await python.decode({ model: model.name, z: points });
    if (model !== state.model) return {};
    return answer?.images ? { pictures: images(answer.images) } : answer;
  }

  // Ask until Python answers; one that is away or busy is asked again. `next` gives each try's request, or null to give
  // up: then there is no answer.
  async function insist(call, next) {
    for (let pause = RETRY.first; ; pause = Math.min(2 * pause, RETRY.longest)) {
      const request = next();
      if (!request) return {};
      const asked = performance.now();
      const answer = await call(request).catch(() => undefined);
      if (answer && !answer.busy) {
        say(answer.error);
        return { answer, took: performance.now() - asked };
      }
      say(answer ? answer.error : "The server did not answer; trying again…");
      await sleep(pause * (0.5 + Math.random()));
    }
  }

  // At most one request under way; of what comes meanwhile only the latest is sent, so the last request of all is always
  // answered. A request may be a function, which is called when its turn has come. Only answers about the model on show
  // are shown.
  function latest(call, show) {
    let busy = false;
    let waiting = null;
    return async (request) => {
      waiting = request;
      if (busy) return;
      busy = true;
      let current = null;
      while (waiting) {
        const { answer, took } = await insist(call, () => {
          if (!waiting) return current.model === state.model.name ? current : null;
          current = typeof waiting === "function" ? waiting() : waiting;
          waiting = null;
          return current;
        });
        if (!answer) continue;
        if (!answer.error && current.model === state.model.name) show(answer, current);
        if (took > CROWDED) await sleep(Math.min(PATIENCE * (took - CROWDED), LONGEST));
      }
      busy = false;
    };
  }

  // The link carries model and latent point.
  function fromLink() {
    const query = new URLSearchParams(location.search);
    const named = query.get("model");
    const model = state.models.find((candidate) => candidate.name === named);
    if (model) state.model = model;
    else if (named) state.linkProblem = `The link asks for ${named}, which is not on show here.`;
    state.z = state.anchor = zero();
    const numbers = query.get("z")?.split(",").map(parseFloat);
    if (!numbers || (named && !model)) return;
    if (numbers.length === state.z.length && numbers.every((value) => Math.abs(value) <= 1000)) {
      state.z = state.anchor = numbers;
      state.origin = "link";
    } else state.linkProblem = `The link's latent point is none of ${state.model.name}'s: it needs ${state.z.length} numbers.`;
  }
  function link() {
    const url = new URL(location.href);
    url.searchParams.set("model", state.model.name);
    url.searchParams.set("z", state.z.map((value) => Number(value.toFixed(3))).join(","));
    return url.href;
  }
  let linkDue = null;
  function writeLink() {
    clearTimeout(linkDue);
    linkDue = setTimeout(() => history.replaceState(history.state, "", link()), 300); // browsers ration these
  }

  function say(text) {
    const toast = document.querySelector("#toast");
    if (toast && toast.textContent !== (text ?? "")) toast.textContent = text ?? "";
  }

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }
  function images(base64) {
    const all = bytes(base64);
    return Array.from({ length: all.length / 784 }, (_, i) => all.subarray(784 * i, 784 * (i + 1)));
  }

  return {
    state, init, setModel, setZ, decodeAll, insist, latest, link, say, bytes, images, grey,

    // Every widget hears of every change: "model", "z", "picture", "ends" or "temperature".
    listen: (listener) => listeners.add(listener),

    keep(end) {
      if (!state.exact) return;
      state.ends[end] = { z: state.z, picture: state.picture };
      notify("ends");
    },
    setTemperature(value) {
      state.temperature = value;
      notify("temperature");
    },
    openTab(name) {
      [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === name)?.click();
    },
    arrows: { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] },
    normal: () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),

    base64(values) {
      let text = "";
      for (let i = 0; i < values.length; i += 0x8000) text += String.fromCharCode(...values.subarray(i, i + 0x8000));
      return btoa(text);
    },

    // A 28x28 picture, white ink on black; null leaves the canvas empty.
    paint(canvas, picture) {
      const context = canvas.getContext("2d");
      if (!picture) return context.clearRect(0, 0, 28, 28);
      const image = context.createImageData(28, 28);
      for (let i = 0; i < 784; i++) {
        image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = picture[i];
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    },
    // A row of pictures, each a button if `pick(i)` is given.
    strip(container, pictures, title, pick) {
      while (container.children.length > pictures.length) container.lastChild.remove();
      while (container.children.length < pictures.length) {
        const cell = document.createElement(pick ? "button" : "span");
        const i = container.children.length;
        cell.className = "hf-cell";
        if (pick) Object.assign(cell, { type: "button", onclick: () => pick(i) });
        cell.append(Object.assign(document.createElement("canvas"), { width: 28, height: 28 }));
        container.append(cell);
      }
      pictures.forEach((picture, i) => {
        const cell = container.children[i];
        cell.ariaLabel = cell.title = title(i);
        hf.paint(cell.firstChild, picture);
      });
    },
    // Where on a canvas an event happened, in the canvas's own pixels.
    place(canvas, event) {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
    },
    ring(context, x, y, radius) {
      for (const [width, colour] of [[5, "black"], [2.5, "white"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.stroke();
      }
    },
  };
})());
const find = (selector) => element.querySelector(selector);
element.addEventListener("click", (event) => {
  const { keep, open } = event.target.closest("[data-keep], [data-open]")?.dataset ?? {};
  if (keep) hf.keep(keep);
  if (open) hf.openTab(open);
});
