// What the widgets share: one model, one latent point, its image, and the calls to Python.
window.hfvae ??= (() => {
  const RETRY = { first: 250, longest: 4000 }; // milliseconds
  const FAST_ANSWER = 40; // milliseconds: after a server's slower answer the next request waits,
  const BACKOFF = 3; // for this multiple of the excess,
  const MAX_BACKOFF = 1000; // but not longer than this
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // Number() alone also takes "", "0x10" and "Infinity"
  const listeners = new Set();
  const state = {
    models: [],
    model: null,
    z: [], // the latent point
    origin: null, // who set it: draw, sliders, map, morph, prior, link; null for the start
    anchor: [], // the point that the sliders started from
    image: null, // its image, 784 grey levels, as soon as it is decoded
    exact: false, // whether the image is of z, and not of a point that z just left
    decode: null, // the model's decoder in this page, if it has one (decoder.js)
    ends: { a: null, b: null }, // of the morph: {z, image}
    temperature: 1,
    linkProblem: "", // what is wrong with the link that led here
  };
  let python = null; // the server functions that all widgets have
  let askImage;

  const notify = (what) => listeners.forEach((listener) => listener(what));
  const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const origin = () => Array.from(state.model.origin); // the prior's mean
  const grey = (floats) => Uint8Array.from(floats, (value) => Math.round(255 * value));

  // Called by every widget; the first call starts the page.
  function init(models, server, element) {
    element.addEventListener("click", (event) => {
      const { keep, open } = event.target.closest("[data-keep], [data-open]")?.dataset ?? {};
      if (keep) hf.keep(keep);
      if (open) hf.openTab(open);
    });
    if (python) return;
    python = server;
    state.models = models;
    state.model = models[0];
    askImage = latest(({ points }) => decodeAll(points, true), ({ images }, { points }) => {
      if (images && !state.exact) show(images[0], points[0] === state.z);
    });
    fromLink();
    adoptDecoder();
    decodeCurrent();
  }

  function setModel(name) {
    const model = state.models.find((candidate) => candidate.name === name);
    if (!model || model === state.model) return;
    Object.assign(state, { model, origin: null, image: null, exact: false, decode: null, ends: { a: null, b: null } });
    state.z = state.anchor = origin();
    adoptDecoder();
    notify("model");
    decodeCurrent();
    writeLink();
  }

  // Move the latent point; `origin` says which tab does, `image` is the point's image, if the caller has it.
  function setZ(z, origin, image = null) {
    state.z = Array.from(z);
    state.origin = origin;
    if (origin !== "sliders" && origin !== "morph") state.anchor = state.z;
    state.exact = false;
    notify("z");
    if (image) show(image, true);
    else decodeCurrent();
    writeLink();
  }

  const decodeCurrent = () => askImage({ model: state.model.name, points: [state.z] });
  async function adoptDecoder() {
    const { model } = state;
    const decode = await hf.decoder(model);
    if (model === state.model) state.decode = decode;
  }
  function show(image, exact) {
    Object.assign(state, { image, exact });
    notify("image");
  }

  // The images of any latent points, without moving the current one: {images}, {} if the model changed meanwhile, or the
  // server's {error}.
  async function decodeAll(points, urgent = false) {
    const { model, decode } = state;
    if (decode) {
      const images = await decode(points, urgent).catch(() => null);
      if (model !== state.model) return {};
      if (images) return { images: images.map(grey), local: true };
      state.decode = null; // the worker failed: Python decodes from now on
    }
    const answer = await python.decode({ model: model.name, z: points });
    if (model !== state.model) return {};
    return answer?.images ? { images: unpackImages(answer.images) } : answer;
  }

  // Call Python until it answers, again if it does not or is busy. `next` returns each attempt's request, or null to give
  // up: then there is no answer.
  async function retry(call, next) {
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

  // At most one request is under way; of those that come meanwhile only the latest is sent, so the last request of all is
  // always answered. A request may be a function, which is called when it is sent. Answers about another model than the
  // current one are dropped.
  function latest(call, show) {
    let busy = false;
    let waiting = null;
    return async (request) => {
      waiting = request;
      if (busy) return;
      busy = true;
      count(1);
      let current = null;
      while (waiting) {
        const { answer, took } = await retry(call, () => {
          if (!waiting) return current.model === state.model.name ? current : null;
          current = typeof waiting === "function" ? waiting() : waiting;
          waiting = null;
          return current;
        });
        if (!answer) continue;
        if (!answer.error && current.model === state.model.name) show(answer, current);
        if (took > FAST_ANSWER && !answer.local) await sleep(Math.min(BACKOFF * (took - FAST_ANSWER), MAX_BACKOFF));
      }
      busy = false;
      count(-1);
    };
  }

  // <html data-pending> has the number of pending requests, for browser automation.
  function count(change) {
    const { dataset } = document.documentElement;
    const pending = Number(dataset.pending ?? 0) + change;
    if (pending) dataset.pending = pending;
    else delete dataset.pending;
  }

  // Draws from the prior, {points, images}: `seed` names the base noise and `temperature` scales it. Where the prior is
  // N(0, I) the page draws itself, else Python does.
  async function draws(call, count, seed, temperature) {
    const { model } = state;
    if (model.drawsInBrowser) {
      const normal = generator(seed);
      const point = () => Array.from({ length: model.latentDim }, () => temperature * normal());
      return { points: Array.from({ length: count }, point) };
    }
    const answer = await call({ model: model.name, count, seed, temperature: model.tempered ? temperature : 1 });
    return answer?.images ? { points: answer.z, images: unpackImages(answer.images) } : answer;
  }
  const newSeed = () => Math.floor(Math.random() * 2 ** 48);

  // Standard normal numbers that a seed determines: the mulberry32 generator and the Box-Muller transform.
  function generator(seed) {
    let a = (seed ^ (seed / 2 ** 20)) >>> 0;
    const uniform = () => {
      a = (a + 0x6d2b79f5) >>> 0;
      let t = Math.imul(a ^ (a >>> 15), a | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  // The link carries model and latent point.
  function fromLink() {
    const query = new URLSearchParams(location.search);
    const named = query.get("model");
    const model = state.models.find((candidate) => candidate.name === named);
    if (model) state.model = model;
    else if (named) state.linkProblem = `The link asks for ${named}, which is not on show here.`;
    state.z = state.anchor = origin();
    const words = query.get("z")?.split(",");
    if (!words || (named && !model)) return;
    const numbers = words.map(Number);
    const known = words.every((word) => NUMBER.test(word)) && numbers.every((value) => Math.abs(value) <= 1000);
    if (known && numbers.length === state.z.length) {
      state.z = state.anchor = numbers;
      state.origin = "link";
    } else {
      const { name } = state.model;
      state.linkProblem = `The link's latent point does not fit ${name}: it needs ${state.z.length} numbers up to 1000.`;
    }
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
    linkDue = setTimeout(() => history.replaceState(history.state, "", link()), 300); // browsers limit how often
  }

  function say(text) {
    const toast = document.querySelector("#toast");
    if (toast && toast.textContent !== (text ?? "")) toast.textContent = text ?? "";
  }

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }
  function unpackImages(base64) {
    const all = bytes(base64);
    return Array.from({ length: all.length / 784 }, (_, i) => all.subarray(784 * i, 784 * (i + 1)));
  }

  const hf = {
    state, init, setModel, setZ, decodeAll, retry, latest, link, say, bytes, unpackImages, grey, draws, newSeed,

    // Every widget is notified of every change: "model", "z", "image", "ends" or "temperature".
    listen: (listener) => listeners.add(listener),

    keep(end) {
      if (!state.exact) return;
      state.ends[end] = { z: state.z, image: state.image };
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

    base64(values) {
      let text = "";
      for (let i = 0; i < values.length; i += 0x8000) text += String.fromCharCode(...values.subarray(i, i + 0x8000));
      return btoa(text);
    },

    // A 28x28 image, white ink on black; null leaves the canvas empty.
    paint(canvas, pixels) {
      const context = canvas.getContext("2d");
      if (!pixels) return context.clearRect(0, 0, 28, 28);
      const image = context.createImageData(28, 28);
      for (let i = 0; i < 784; i++) {
        image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = pixels[i];
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    },
    // A row of images, each a button if `pick(i)` is given.
    renderStrip(container, images, title, pick) {
      while (container.children.length > images.length) container.lastChild.remove();
      while (container.children.length < images.length) {
        const cell = document.createElement(pick ? "button" : "span");
        const i = container.children.length;
        cell.className = "hf-cell";
        if (pick) Object.assign(cell, { type: "button", onclick: () => pick(i) });
        cell.append(Object.assign(document.createElement("canvas"), { width: 28, height: 28 }));
        container.append(cell);
      }
      images.forEach((image, i) => {
        const cell = container.children[i];
        cell.ariaLabel = cell.title = title(i);
        hf.paint(cell.firstChild, image);
      });
    },
    // The position of an event on a canvas, in the canvas's own pixels.
    eventPosition(canvas, event) {
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
  return hf;
})();
