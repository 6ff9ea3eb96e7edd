// Calls of Python: again until they are answered, and never more than one of a kind at a time.
import { say } from "./feedback.js";
import { state } from "./state.js";
import { t } from "./text.js";

const RETRY = { first: 250, longest: 4000 }; // milliseconds
const FAST_ANSWER = 40; // milliseconds: after a server's slower answer the next request waits,
const BACKOFF = 3; // for this multiple of the excess,
const MAX_BACKOFF = 1000; // but not longer than this
const SLOW = 150; // milliseconds after which the page shows that a picture is on its way

/** @param {number} milliseconds */
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Call Python until it answers, again if it does not or is busy.
 * @param {import("./types").Call} call
 * @param {() => any} next each attempt's request, or null to give up: then there is no answer
 * @returns {Promise<{ answer?: any, took: number }>}
 */
export async function retry(call, next) {
  for (let pause = RETRY.first; ; pause = Math.min(2 * pause, RETRY.longest)) {
    const request = next();
    if (!request) return { took: 0 };
    const asked = performance.now();
    const answer = await call(request).catch(() => undefined);
    if (answer && !answer.busy) {
      say(answer.error);
      return { answer, took: performance.now() - asked };
    }
    say(answer ? answer.error : t("server.silent"));
    await sleep(pause * (0.5 + Math.random()));
  }
}

/**
 * At most one request is under way; of those that come meanwhile only the latest is sent, so the last request of all is
 * always answered.
 * @param {import("./types").Call} call
 * @param {(answer: any, request: any) => void} show
 * @param {(request: any) => boolean} wanted answers that no longer are, by default those about another model, are dropped
 * @returns {(request: any) => Promise<void>} takes a request, or a function that is called when the request is sent
 */
export function latest(call, show, wanted = (request) => request.model === state.model.name) {
  let busy = false;
  /** @type {any} */
  let waiting = null;
  return async (request) => {
    waiting = request;
    if (busy) return;
    busy = true;
    count(1);
    /** @type {any} */
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

/** @type {number | undefined} */
let slow;
/**
 * <html data-pending> has the number of pending requests, for browser automation; <html data-slow> is there as soon as
 * one has been pending for long, and shows a quiet mark (style.css).
 * @param {number} change
 */
function count(change) {
  const { dataset } = document.documentElement;
  const pending = Number(dataset.pending ?? 0) + change;
  if (pending) {
    dataset.pending = String(pending);
    slow ??= setTimeout(() => (dataset.slow = "true"), SLOW);
  } else {
    delete dataset.pending;
    delete dataset.slow;
    clearTimeout(slow);
    slow = undefined;
  }
}
