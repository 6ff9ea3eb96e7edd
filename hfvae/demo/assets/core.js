// What the widgets share: one model, one latent point, and a few helpers. Runs before each widget's own script.
const hf = (window.hfvae ??= (() => {
  const listeners = new Set();
  const state = { model: null, z: null, models: [] };

  return {
    state,

    init(models) {
      if (state.models.length) return;
      state.models = models;
      state.model = models[0];
      state.z = new Array(state.model.latentDim).fill(0);
    },

    // Every widget hears of every change; `origin` is who made it, `what` is "model" or "z".
    listen(listener) {
      listeners.add(listener);
    },
    setModel(name, origin) {
      const model = state.models.find((candidate) => candidate.name === name);
      if (!model || model === state.model) return;
      state.model = model;
      state.z = new Array(model.latentDim).fill(0);
      for (const listener of listeners) listener("model", origin);
    },
    setZ(z, origin) {
      state.z = Array.from(z);
      for (const listener of listeners) listener("z", origin);
    },

    // At most one request under way; what comes meanwhile waits, and only the latest of it is sent.
    latest(call, show) {
      let busy = false;
      let waiting = null;
      const send = async (request) => {
        if (busy) {
          waiting = request;
          return;
        }
        busy = true;
        try {
          const answer = await call(request);
          if (request.model === state.model.name) show(answer ?? { error: "The server did not answer." }, request);
        } catch (error) {
          show({ error: `The server did not answer: ${error.message ?? error}` }, request);
        } finally {
          busy = false;
          document.documentElement.dataset.ready = "true";
          const next = waiting;
          waiting = null;
          if (next) send(next);
        }
      };
      return send;
    },

    bytes(base64) {
      return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    },
    base64(bytes) {
      let text = "";
      for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
      return btoa(text);
    },

    // A 28x28 picture, white ink on black.
    paint(canvas, base64) {
      const grey = hf.bytes(base64);
      const image = new ImageData(28, 28);
      for (let i = 0; i < grey.length; i++) {
        image.data.fill(grey[i], 4 * i, 4 * i + 3);
        image.data[4 * i + 3] = 255;
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
    },
    wipe(canvas) {
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    },
    say(element, text) {
      element.textContent = text ?? "";
    },
  };
})());
hf.init(props.models);
const find = (selector) => element.querySelector(selector);
