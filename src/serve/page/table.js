/* The images seen so far: their rows, their order, and the table as CSV. */
import { byId, kindOf, make, percent, scoreOf } from './result.js';

const THUMB = 88; /* pixels */

/* A small picture of the file. One that the browser cannot decode keeps an empty frame. */
export async function drawThumb(item) {
  const bitmap = await createImageBitmap(item.file, { resizeHeight: THUMB, resizeQuality: 'medium' }).catch(() => null);
  if (bitmap === null) return;
  const canvas = item.row.querySelector('canvas'), scale = Math.min(THUMB / bitmap.width, THUMB / bitmap.height);
  const w = bitmap.width * scale, h = bitmap.height * scale;
  canvas.width = canvas.height = THUMB;
  canvas.getContext('2d').drawImage(bitmap, (THUMB - w) / 2, (THUMB - h) / 2, w, h);
  bitmap.close();
}

/* A name of a file, which may be parted where its parts meet before it is anywhere else. */
function breakable(name) {
  const span = make('span');
  for (const part of name.split(/(?<=[_.-])/)) span.append(part, make('wbr'));
  return span;
}

export function makeRow(item, choose) {
  const row = make('tr'), cell = make('td'), pick = make('button', 'pick'), thumb = make('canvas'), words = make('div');
  pick.type = 'button';
  pick.title = item.name;
  thumb.width = thumb.height = 1;
  thumb.setAttribute('aria-hidden', 'true');
  words.append(breakable(item.name), make('span', 'why'));
  pick.append(thumb, words);
  cell.append(pick);
  row.append(cell, make('td'));
  row.addEventListener('click', () => choose(item));
  return row;
}

function score(item) {
  const waiting = { waiting: 'waiting', working: '…', cancelled: 'cancelled', failed: 'failed' }[item.state];
  if (waiting) return [make('span', `score ${item.state === 'failed' ? 'failed' : `waiting ${item.state}`}`, waiting)];
  const kind = kindOf(item.answer), p = scoreOf(item.answer), label = make('span', `score ${kind}`, percent(p));
  const track = make('span', 'track'), bar = make('i');
  bar.style.width = `${100 * p}%`;
  track.append(bar);
  label.append(track);
  if (kind === 'none') label.firstChild.textContent = 'abstains';
  return [label];
}

export function updateRow(item) {
  item.row.lastChild.replaceChildren(...score(item));
  item.row.querySelector('.why').textContent = item.error ?? '';
  /* The text itself would be read with a pause wherever it may be parted. */
  item.row.querySelector('.pick').setAttribute('aria-label', item.error ? `${item.name}: ${item.error}` : item.name);
}

export class Table {
  #key = null; #down = false; #due = false;

  /* Rows as they came, until a head is clicked; again turns the order, and a third time undoes it. */
  constructor(items, placed) {
    this.items = items; /* shared, as they came */
    this.placed = placed;
    for (const th of document.querySelectorAll('th[data-sort]'))
      th.querySelector('button').addEventListener('click', () => this.#turn(th.dataset.sort));
  }

  #turn(key) {
    const first = key === 'score'; /* the highest score first, names from A */
    if (this.#key !== key) [this.#key, this.#down] = [key, first];
    else if (this.#down === first) this.#down = !first;
    else this.#key = null;
    for (const th of document.querySelectorAll('th[data-sort]'))
      th.setAttribute('aria-sort', th.dataset.sort !== this.#key ? 'none' : this.#down ? 'descending' : 'ascending');
    this.place();
  }

  /* In the order shown. Those without a score come last either way. */
  ordered() {
    const sign = this.#down ? -1 : 1, by = {
      name: (a, b) => sign * a.name.localeCompare(b.name, undefined, { numeric: true }),
      score: (a, b) => (b.answer !== null) - (a.answer !== null) || (a.answer ? sign * (scoreOf(a.answer) - scoreOf(b.answer)) : 0),
    }[this.#key];
    return by ? [...this.items].sort(by) : this.items;
  }

  /* Only rows that change place are moved: the others keep the focus. */
  place() {
    const body = byId('rows'), focused = document.activeElement;
    let at = body.firstChild;
    for (const { row } of this.ordered()) {
      if (row === at) at = at.nextSibling;
      else body.insertBefore(row, at);
    }
    while (at !== null) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    this.placed();
  }

  /* A result has come: only an order by score is another now, which is shown once for all results of a frame. */
  settle(item) {
    updateRow(item);
    if (this.#key !== 'score' || this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => { this.#due = false; this.place(); });
  }
}

/* Nine significant digits give back the exact 32-bit value, as `cxr predict` writes it. */
const number = p => String(Number(p.toPrecision(9)));
const quote = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
/* A spreadsheet takes a name that begins so for a formula; as a path it means the same file. */
const pathOf = name => /^[=+\-@\t\r]/.test(name) ? `./${name}` : name;

/* RFC 4180, with the columns of `cxr predict --format csv` first. */
export function csv(items) {
  const classes = Object.keys(items.find(i => i.answer)?.answer.probabilities ?? {}), orNothing = p => p === null ? '' : number(p);
  const head = ['path', 'prediction', ...classes.map(c => `probability_${c}`), 'status', 'reason', 'threshold', 'decision', 'model', 'model_id', 'milliseconds'];
  const lines = items.map(({ name, state, answer: a, error }) => a
    ? [pathOf(name), a.prediction, ...classes.map(c => number(a.probabilities[c])), a.status, a.reason, orNothing(a.threshold), a.decision, a.model,
       a.modelId, orNothing(a.ms)]
    : [pathOf(name), '', ...classes.map(() => ''), state, error ?? '', '', '', '', '', '']);
  return [head, ...lines].map(line => line.map(quote).join(',') + '\r\n').join('');
}
