// The decoders that run in this page, each in a worker of its own so that the page never stutters (worker.js). A fast one
// decodes urgent points in the page itself: a worker's answer comes only after the next frame.
window.hfvae.decoder ??= (() => {
  const hf = window.hfvae;
  const PORTION = 2; // latent points that the worker decodes between two looks for a more urgent job
  const FAST = 8; // milliseconds that a decode may hold up the page, half a frame
  const known = new Map(); // model name -> promise of its decoder

  // A function of latent points, [[number]], that promises their images as Float32Array of 784 grey levels in [0, 1];
  // null where Python must decode. `urgent` points are decoded before all others.
  return (model) => {
    if (!known.has(model.name)) known.set(model.name, make(model));
    return known.get(model.name);
  };

  async function make({ name, decoder, latentDim }) {
    if (!decoder) return null;
    const { answer } = await hf.retry(fetchWeights, () => decoder);
    if (!answer.weights) return null;
    const worker = new Worker(URL.createObjectURL(new Blob([hf.workerSource], { type: "text/javascript" })));
    const failed = new Promise((_, reject) => (worker.onerror = () => reject(new Error("the worker failed"))));
    failed.catch(() => known.set(name, Promise.resolve(null)));
    const answered = () => new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
    const call = (message) => {
      const answer = Promise.race([answered(), failed]);
      worker.postMessage(message);
      return answer;
    };
    const program = { ...decoder, latents: latentDim };
    const started = await call({ program, weights: answer.weights }).catch(() => null);
    if (!started) return null;
    const decodeLater = queue(call);
    if (started.took > FAST) return decodeLater;
    const decodeNow = makeDecoder(program, answer.weights);
    return async (points, urgent) => (urgent ? points.map(decodeNow) : decodeLater(points));
  }

  async function fetchWeights({ address }) {
    const response = await fetch(new URL(address, location.href));
    return response.ok ? { weights: await response.arrayBuffer() } : {}; // the app was started with other models
  }

  // One portion is in work at a time.
  function queue(call) {
    const jobs = { urgent: [], patient: [] };
    let working = false;
    async function work() {
      if (working) return;
      working = true;
      for (let job; (job = jobs.urgent.shift() ?? jobs.patient.shift()); ) {
        await call({ points: job.points }).then(({ images }) => job.resolve(images), job.reject);
      }
      working = false;
    }
    const add = (list, points) => new Promise((resolve, reject) => list.push({ points, resolve, reject }));
    return async (points, urgent = false) => {
      const parts = [];
      for (let i = 0; i < points.length; i += PORTION) {
        parts.push(add(urgent ? jobs.urgent : jobs.patient, points.slice(i, i + PORTION)));
      }
      work();
      return (await Promise.all(parts)).flat();
    };
  }
})();
