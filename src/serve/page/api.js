/* Requests to the server that gave this page. One that is busy, or does not answer, holds all of them for a while, told through
 * `held(seconds, why)`; what fails for good is a Failure, whose message is a sentence to show. Names of files are never sent. */
export class Failure extends Error {}

const PATIENCE = 60000;                /* ms for one answer */
const LONGEST_HOLD = 30;               /* seconds */
const LARGEST = 32 * 1024 * 1024;      /* bytes of a body: the server refuses more while they are still being sent */

const wordsOf = {
  401: 'The server asks for a token.', 403: 'The server refused this page.', 413: 'The file is larger than the server takes.',
  415: 'The file is neither a JPEG nor a PNG.',
};

/* The server's errors begin with a small letter and have no full stop. */
const sentence = text => typeof text === 'string' ? `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}.`.replace(/\.\.$/, '.') : null;

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', end); resolve(); }, ms);
    signal?.addEventListener('abort', end, { once: true });
  });
}

/* Retry-After: seconds or a date. */
function secondsOf(header) {
  const seconds = /^\d+$/.test(header ?? '') ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0.2), LONGEST_HOLD) : 1;
}

export class Server {
  #until = 0; #delay = 1; #token = null; #asking = null;

  constructor({ held, askToken }) {
    this.held = held;
    this.askToken = askToken;
  }

  /* Ends a hold. */
  goOn() { this.#until = 0; this.held(0); }

  #hold(seconds, why) {
    this.#until = Math.max(this.#until, Date.now() + 1000 * seconds);
    this.held(seconds, why);
  }

  async #wait(signal) {
    const waited = this.#until > 0;
    while (Date.now() < this.#until) await sleep(Math.min(this.#until - Date.now(), 250), signal);
    if (waited) this.goOn();
  }

  async #alive() {
    try { return (await fetch('v2/health/live', { cache: 'no-store', signal: AbortSignal.timeout(2000) })).ok; } catch { return false; }
  }

  async #fetch(path, { body, signal }) {
    const limit = AbortSignal.timeout(PATIENCE);
    const headers = { Accept: 'application/json' };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    if (body) headers['Content-Type'] = body.type || 'application/octet-stream';
    const reply = await fetch(path, {
      method: body ? 'POST' : 'GET', body, headers, cache: 'no-store', signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    const text = await reply.text();
    let json = null;
    try { json = JSON.parse(text); } catch { /* an answer of something between here and the server */ }
    return { status: reply.status, json, after: reply.headers.get('Retry-After') };
  }

  /* Several requests refused at once ask a single time. */
  async #newToken() {
    this.#asking ??= this.askToken().finally(() => { this.#asking = null; });
    this.#token = await this.#asking;
    if (!this.#token) throw new Failure(wordsOf[401]);
  }

  /* The JSON of an answer. */
  async ask(path, { body, signal } = {}) {
    if (body && body.size > LARGEST) throw new Failure(wordsOf[413]);
    for (let broken = 0; ;) {
      await this.#wait(signal);
      let reply;
      try {
        reply = await this.#fetch(path, { body, signal });
      } catch (e) {
        if (signal?.aborted) throw e;
        if (e.name === 'TimeoutError') throw new Failure('The server gave no answer within a minute.');
        if (e.name === 'NotReadableError' || e.name === 'NotFoundError') throw new Failure('The file cannot be read any more.');
        if (!await this.#alive()) {
          this.#hold(this.#delay, 'The server cannot be reached');
          this.#delay = Math.min(2 * this.#delay, LONGEST_HOLD);
        } else if (++broken === 2) throw new Failure('The server broke the connection off.');
        continue;
      }
      this.#delay = 1;
      if (reply.status === 200 && reply.json) return reply.json;
      if (reply.status === 503 || reply.status === 429) this.#hold(secondsOf(reply.after), 'The server is busy');
      else if (reply.status === 401) await this.#newToken();
      else throw new Failure(sentence(reply.json?.error) ?? wordsOf[reply.status] ?? `The server answered ${reply.status}.`);
    }
  }
}

/* Does work(item) for each item, a few at a time, in order of arrival. */
export class Queue {
  #items = []; #busy = 0;

  constructor(lanes, work) {
    this.lanes = lanes;
    this.work = work;
  }

  add(item) { this.#items.push(item); this.#next(); }

  /* An item that waits comes first. */
  prefer(item) {
    const at = this.#items.indexOf(item);
    if (at > 0) this.#items.unshift(...this.#items.splice(at, 1));
  }

  empty() { this.#items.length = 0; }

  async #next() {
    if (this.#busy === this.lanes || this.#items.length === 0) return;
    this.#busy++;
    try { await this.work(this.#items.shift()); } finally { this.#busy--; this.#next(); }
  }
}
