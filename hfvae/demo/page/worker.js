// A decoder in a worker (program.js). The first message has its program and weights, each other one latent points.
import { makeDecoder } from "./program.js";

const WARM_UP = 6; // decodes, until the browser has compiled what they run
/** @type {(z: ArrayLike<number>) => Float32Array} */
let decode;

onmessage = ({ data }) => {
  if (data.program) {
    decode = makeDecoder(data.program, data.weights);
    const times = Array.from({ length: WARM_UP }, () => {
      const began = performance.now();
      decode(new Float32Array(data.program.latents));
      return performance.now() - began;
    });
    postMessage({ took: Math.min(...times) });
  } else postMessage({ images: data.points.map(decode) });
};
