// What the widgets share: one model, one latent point, its image, and the calls to Python.
window.hfvae ??= (() => {
  const RETRY = { first: 250, longest: 4000 }; // milliseconds
  const FAST_ANSWER = 40; // milliseconds: after a server's slower answer the next request waits,
  const BACKOFF = 3; // for this multiple of the excess,
  const MAX_BACKOFF = 1000; // but not longer than this
  const OUTDATED = 1500; // milliseconds that the answer about a drawing may stay, dimmed, when the drawing has changed
  const SLOW = 150; // milliseconds after which the page shows that a picture is on its way
  const listeners = new Set();
  const state = {
    models: [],
    model: null,
    z: [], // the latent point
    origin: null, // who set it: draw, sliders, map, morph, prior, arithmetic, link; null for the start
    anchor: [], // the point that the sliders started from
    image: null, // its image, 784 grey levels, as soon as it is decoded
    exact: false, // whether the image is of z, and not of a point that z just left
    decode: null, // the model's decoder in this page, if it has one (decoder.js)
    ends: { a: null, b: null, c: null }, // points that were kept: {z, image}
    temperature: 1,
    drawing: null, // what is on the pad, as text (strokes.js)
    ink: () => null, // the same as grey levels, base64; the Draw tab sets it
    judged: null, // Python's answer about the drawing: its code z, and what the model makes of it
  };
  let python = null; // the server functions that all widgets have
  let askImage;

  const notify = (what) => listeners.forEach((listener) => listener(what));
  const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const origin = () => Array.from(state.model.origin); // the prior's mean
  const grey = (floats) => Uint8Array.from(floats, (value) => Math.round(255 * value));

  // Called by every widget; the first call starts the page.
  function init(models, server, element) {
    hf.translate(element);
    element.addEventListener("click", (event) => {
      const { keep, open } = event.target.closest("[data-keep], [data-open]")?.dataset ?? {};
      if (keep) hf.keep(keep, event.target.closest("[data-keep]"));
      if (open) hf.openTab(open);
    });
    if (python) return;
    python = server;
    state.models = models;
    state.model = models[0];
    askImage = latest(({ points }) => decodeAll(points, true), ({ images }, { points }) => {
      if (images && !state.exact) show(images[0], points[0] === state.z);
    });
    hf.link.arrive();
    adoptDecoder();
    decodeCurrent();
  }

  function setModel(name) {
    const model = state.models.find((candidate) => candidate.name === name);
    if (model && model !== state.model) restore(model, null, null, state.drawing);
  }

  // Show a model, one of its points (by default its prior's mean) and a drawing at once.
  function restore(model, z, from, drawing) {
    const [changed, redrawn] = [model !== state.model, drawing !== state.drawing];
    Object.assign(state, { model, drawing, origin: from, exact: false });
    if (changed || redrawn) state.judged = null;
    state.z = state.anchor = (from === "draw" && state.judged?.z) || z || origin(); // an address has rounded numbers
    if (changed) {
      Object.assign(state, { image: null, decode: null, ends: { a: null, b: null, c: null } });
      hf.moves.clear();
      adoptDecoder();
    }
    notify(changed ? "model" : "z");
    if (redrawn && !changed) notify("drawing");
    decodeCurrent();
    hf.link.write();
  }

  // Move the latent point; `origin` says which tab does, `image` is the point's image, if the caller has it.
  function setZ(z, origin, image = null) {
    hf.moves.note(origin);
    state.z = Array.from(z);
    state.origin = origin;
    if (origin !== "sliders" && origin !== "morph") state.anchor = state.z;
    state.exact = false;
    notify("z");
    if (image) show(image, true);
    else decodeCurrent();
    hf.link.write();
  }

  // Python's answer about the drawing if the latent point is the drawing's code: only then it is about the image on show.
  const verdict = () => (state.judged?.z.every((value, i) => value === state.z[i]) ? state.judged : null);
  // Whether the latent point is another one than the drawing's code.
  const moved = () => (state.judged ? !verdict() : state.origin !== null && state.origin !== "draw");

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
      say(answer ? answer.error : hf.t("server.silent"));
      await sleep(pause * (0.5 + Math.random()));
    }
  }

  // At most one request is under way; of those that come meanwhile only the latest is sent, so the last request of all is
  // always answered. A request may be a function, which is called when it is sent. Answers that are no longer `wanted`,
  // by default those about another model than the current one, are dropped.
  function latest(call, show, wanted = (request) => request.model === state.model.name) {
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
          if (!waiting) return wanted(current) ? current : null;
          current = typeof waiting === "function" ? waiting() : waiting;
          waiting = null;
          return current;
        });
        if (!answer) continue;
        if (!answer.error && wanted(current)) show(answer, current);
        if (took > FAST_ANSWER && !answer.local) await sleep(Math.min(BACKOFF * (took - FAST_ANSWER), MAX_BACKOFF));
      }
      busy = false;
      count(-1);
    };
  }

  // <html data-pending> has the number of pending requests, for browser automation; <html data-slow> is there as soon as
  // one has been pending for long, and shows a quiet mark (style.css).
  let slow = null;
  function count(change) {
    const { dataset } = document.documentElement;
    const pending = Number(dataset.pending ?? 0) + change;
    if (pending) {
      dataset.pending = pending;
      slow ??= setTimeout(() => (dataset.slow = "true"), SLOW);
    } else {
      delete dataset.pending;
      delete dataset.slow;
      clearTimeout(slow);
      slow = null;
    }
  }

  // What an element says is about something that has changed: dim it (style.css), and `clear` it if it is not `renewed` soon.
  const outdated = new Map(); // element -> timer
  function outdate(element, clear) {
    if (outdated.has(element)) return;
    element.dataset.outdated = "true";
    outdated.set(element, setTimeout(() => {
      renewed(element);
      clear();
    }, OUTDATED));
  }
  function renewed(element) {
    clearTimeout(outdated.get(element));
    outdated.delete(element);
    delete element.dataset.outdated;
  }

  // Draws from the prior, {points, images}: `seed` names the base noise and `temperature` scales it. Where the prior is
  // N(0, I), or `standard` asks for it, the page draws itself, else Python does.
  async function draws(call, count, seed, temperature, standard = false) {
    const { model } = state;
    if (model.drawsInBrowser || standard) {
      const next = generator(seed);
      const point = () => Array.from({ length: model.latentDim }, () => temperature * next());
      return { points: Array.from({ length: count }, point) };
    }
    return askDraws(call, count, seed, temperature);
  }
  // The same by Python; `call` may ask for further properties of the draws.
  async function askDraws(call, count, seed, temperature) {
    const { model } = state;
    const answer = await call({ model: model.name, count, seed, temperature: model.tempered ? temperature : 1 });
    return answer?.images !== undefined ? { points: answer.z, images: unpackImages(answer.images) } : answer;
  }
  // `count` standard normal numbers.
  const normal = (seed, count) => {
    const next = generator(seed);
    return Array.from({ length: count }, next);
  };
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
    state, init, setModel, setZ, restore, verdict, moved, outdate, renewed, decodeAll, retry, latest, say, bytes, unpackImages, grey, draws, askDraws, normal, newSeed, origin, notify,

    // Every widget is notified of every change: "model", "z", "image", "ends", "temperature", "judged", "drawing" (by the
    // history), "drawn" (by the visitor), "tab" or "layout".
    listen: (listener) => listeners.add(listener),

    keep(end, button) {
      if (!state.exact) return;
      state.ends[end] = { z: state.z, image: state.image };
      hf.link.pin();
      hf.confirm(button, hf.t("kept", { end: end.toUpperCase() }));
      notify("ends");
    },
    // Take Python's answer about the drawing, null for none; `follow` moves the latent point to the drawing's code.
    setJudged(answer, follow) {
      state.judged = answer;
      if (answer && follow) setZ(answer.z, "draw", answer.reconstruction);
      notify("judged");
    },
    setTemperature(value) {
      state.temperature = value;
      notify("temperature");
    },
    // Open a tab, which may be in the menu of those that did not fit; whether it was there.
    openTab(name) {
      const shown = document.querySelectorAll("[role=tab]").length;
      const more = document.querySelectorAll(".overflow-dropdown button");
      const button = document.getElementById(`${name}-tab-button`) ?? more[hf.tabs.indexOf(name) - shown];
      button?.click();
      return Boolean(button);
    },
    openedTab: () => document.querySelector("[role=tab][aria-selected=true]")?.dataset.tabId ?? null,
    tabs: ["draw", "sliders", "map", "compare"],
    arrows: { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] },

    base64(values) {
      let text = "";
      for (let i = 0; i < values.length; i += 0x8000) text += String.fromCharCode(...values.subarray(i, i + 0x8000));
      return btoa(text);
    },
    // Say on a button, for a moment, that it has done something.
    confirm(button, text) {
      if (!button || button.dataset.label) return;
      const label = button.querySelector("span") ?? button;
      button.dataset.label = label.textContent;
      label.textContent = text;
      hf.announce(text);
      setTimeout(() => {
        label.textContent = button.dataset.label;
        delete button.dataset.label;
      }, 1500);
    },
    // For screen readers.
    announce(text) {
      const region = document.querySelector("#announcements");
      if (region) region.textContent = text;
    },
  };
  return hf;
})();
