/* The page: images come in, go to the server a few at a time, and are shown. They are kept in this page's memory alone. */
import { Failure, Queue, Server } from './api.js';
import { fillCard } from './card.js';
import { byId, showCaption, showResult, spoken } from './result.js';
import { Table, csv, drawThumb, makeRow, updateRow } from './table.js';
import { Viewer, decode } from './viewer.js';

const LANES = 2;
const items = [];     /* as they came */
let chosen = null, model = {}, known, stop = new AbortController();

const say = text => { byId('said').textContent = text; };
const server = new Server({ held: showHold, askToken });
const table = new Table(items, showSteps);
const viewer = new Viewer(byId('stage'), byId('canvas'), showView);
const queue = new Queue(LANES, work);

/* ---- Images in ---- */

function add(files) {
  const fresh = [...files].map(file => ({ file, name: file.name || 'pasted image', state: 'waiting', answer: null, error: null, maps: {} }));
  if (fresh.length === 0) return;
  for (const item of fresh) {
    item.row = makeRow(item, picked);
    items.push(item);
    updateRow(item);
  }
  document.body.classList.remove('empty');
  table.place();
  choose(fresh[0]);
  for (const item of fresh) queue.add(item);
  showProgress();
}

/* Files of a drop, also those of folders in it. */
async function dropped(transfer) {
  const files = [], entries = [...transfer.items].map(i => i.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  const walk = async entry => {
    if (entry.isFile) return files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    const reader = entry.createReader();
    for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length > 0;)
      for (const inner of some.sort((a, b) => (a.name < b.name ? -1 : 1)))
        if (inner.isDirectory || /\.(jpe?g|png)$/i.test(inner.name)) await walk(inner);
  };
  for (const entry of entries) await walk(entry);
  return files;
}

/* ---- Answers ---- */

function read(answer) {
  const t = answer.timing;
  return {
    prediction: answer.prediction, probabilities: answer.probabilities, positive: answer.threshold === undefined ? null : model.positive,
    threshold: answer.threshold ?? null, ruleOut: model.rule_out ?? null, ruleIn: model.rule_in ?? null, decision: answer.decision ?? '', status: answer.status ?? 'ok', reason: answer.reason ?? '',
    model: answer.model ?? '', modelId: answer.model_id ?? '', ms: t ? t.queue_ms + t.decode_ms + t.compute_ms : null,
  };
}

/* An address of the server, of the model that is chosen. */
const at = (path, query = {}) => `${path}?${new URLSearchParams({ model: model.name ?? '', ...query })}`;

async function work(item) {
  const { signal } = stop, began = performance.now();
  setState(item, 'working');
  const thumb = drawThumb(item);
  try {
    await known;
    item.answer = read(await server.ask(at('predict'), { body: item.file, signal }));
    item.took = performance.now() - began;
    setState(item, 'done');
  } catch (e) {
    if (signal.aborted) return setState(item, 'cancelled');
    item.error = e instanceof Failure ? e.message : 'The page failed to show this image.';
    setState(item, 'failed');
    if (!(e instanceof Failure)) console.error(e);
  } finally {
    await thumb;
  }
}

function setState(item, state) {
  item.state = state;
  if (!items.includes(item)) return;
  table.settle(item);
  showProgress();
  if (item !== chosen) return;
  showAnswer(item);
  showMap(item);
}

function showAnswer(item) {
  showResult(item, model.calibrated);
  if (item.state === 'done' || item.state === 'failed') say(spoken(item));
}

/* The map of the chosen image for the class asked for, '' being the predicted one; each is asked for once. */
async function showMap(item) {
  const asked = byId('map-class').value, { maps } = item;
  const current = () => item === chosen && byId('map-class').value === asked && item.maps === maps;
  byId('caption').classList.toggle('idle', item.state !== 'done');
  if (!maps[asked]) {
    viewer.setHeat(null);
    showCaption('The heat map is being made.', null);
    if (item.state !== 'done') return;
    maps[asked] = server.ask(at('explain', asked ? { class: asked } : {}), { body: item.file, signal: stop.signal });
  }
  try {
    const answer = await maps[asked], { map, explained } = answer;
    if (!current()) return;
    if (viewer.setHeat(map, model.rule)) showCaption(`What speaks for ${explained} to the model, not what is ill.`, answer);
    else showCaption(`Empty: nothing speaks for ${explained}.`, null);
  } catch (e) {
    delete maps[asked];
    if (current()) showCaption(e instanceof Failure ? e.message : '', null);
  }
}

/* ---- The chosen image ---- */

async function choose(item) {
  chosen?.row.classList.remove('chosen');
  chosen?.row.querySelector('.pick').removeAttribute('aria-current');
  chosen = item;
  item.row.classList.add('chosen');
  item.row.querySelector('.pick').setAttribute('aria-current', 'true');
  showRow(item.row);
  queue.prefer(item);
  showAnswer(item);
  showSteps();
  /* Another image must not stand beside this one's name for longer than the eye takes. */
  const late = setTimeout(() => { if (item === chosen) viewer.show(null); }, 100);
  const picture = await decode(item.file).catch(() => null);
  clearTimeout(late);
  if (item !== chosen) return;
  viewer.show(picture);
  byId('stage-note').textContent = picture ? '' : 'This browser cannot show the file.';
  byId('canvas').setAttribute('aria-label', picture ? `Radiograph ${item.name}, ${picture.fullWidth} by ${picture.fullHeight} pixels` : 'No image');
  byId('corner-size').textContent = picture ? `${picture.fullWidth} × ${picture.fullHeight}` : '';
  showMap(item);
}

/* Within the list; the page of a phone stays where it is. */
function showRow(row) {
  const list = document.querySelector('.rows'), above = list.scrollTop - row.offsetTop + row.offsetHeight;
  if (list.scrollHeight <= list.clientHeight) return;
  if (above > 0) list.scrollTop -= above;
  else list.scrollTop = Math.max(list.scrollTop, row.offsetTop + row.offsetHeight - list.clientHeight);
}

/* From the list, which lies below the image on a phone. */
function picked(item) {
  choose(item);
  if (matchMedia('(max-width: 48rem)').matches) window.scrollTo(0, 0);
}

function step(by) {
  const rows = table.ordered(), to = rows[rows.indexOf(chosen) + by];
  if (to) choose(to);
}

function showSteps() {
  const rows = table.ordered(), at = rows.indexOf(chosen);
  byId('previous').disabled = at <= 0;
  byId('next').disabled = at + 1 >= rows.length;
}

/* The viewer's numbers on its controls. */
function showView(view) {
  byId('width').value = view.width;
  byId('level').value = view.level;
  byId('width-value').textContent = view.width;
  byId('level-value').textContent = view.level;
  byId('opacity-value').textContent = `${Math.round(100 * view.opacity)} %`;
  byId('corner-window').textContent = `W ${view.width}  L ${view.level}`;
  byId('corner-zoom').textContent = `${Math.round(100 * view.scale)} %`;
  byId('stage').classList.toggle('window', view.tool === 'window');
  for (const tool of ['pan', 'window']) byId(`tool-${tool}`).setAttribute('aria-pressed', view.tool === tool);
  byId('invert').setAttribute('aria-pressed', view.inverted);
}

/* ---- All of them ---- */

const running = item => item.state === 'waiting' || item.state === 'working';
const unanswered = item => item.state === 'failed' || item.state === 'cancelled';

function showProgress() {
  const left = items.filter(running).length, missing = items.filter(unanswered).length, was = !byId('cancel').hidden;
  const busy = left > 0 && items.length > 1;
  byId('count').textContent = items.length;
  byId('progress').hidden = !busy && missing === 0;
  byId('progress-bar').hidden = byId('cancel').hidden = !busy;
  byId('retry').hidden = busy || missing === 0;
  byId('progress-bar').max = items.length;
  byId('progress-bar').value = items.length - left;
  byId('progress-text').textContent = busy ? `${items.length - left} of ${items.length}` : `${missing} without a result`;
  byId('export').disabled = !items.some(i => i.answer);
  if (was && left === 0) say(`${items.length - missing} of ${items.length} images have a result.`);
}

function cancel() {
  queue.empty();
  stop.abort();
  stop = new AbortController();
  for (const item of items.filter(i => i.state === 'waiting')) setState(item, 'cancelled');
  showHold(0);
}

function clear() {
  cancel();
  items.length = 0;
  chosen = null;
  viewer.show(null);
  table.place();
  document.body.classList.add('empty');
  byId('welcome-add').focus();
}

function again(item) {
  Object.assign(item, { answer: null, error: null, maps: {} });
  setState(item, 'waiting');
  queue.add(item);
}

function save() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv(table.ordered())], { type: 'text/csv' }));
  link.download = 'cxr.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* ---- The server ---- */

function showHold(seconds, why) {
  byId('banner').hidden = seconds === 0;
  byId('banner-retry').hidden = seconds < 2;
  if (seconds > 0) byId('banner-text').textContent = `${why}. Trying again in ${Math.ceil(seconds)} s.`;
}

function askToken() {
  return new Promise(resolve => {
    const dialog = byId('token');
    dialog.addEventListener('close', () => resolve(byId('token-text').value), { once: true });
    byId('token-text').value = '';
    dialog.showModal();
  });
}

/* name: undefined is the server's first. */
async function loadModel(name) {
  try {
    const { models } = await server.ask('v2/models'), { parameters, ...one } = models.find(m => m.name === name) ?? models[0];
    model = { ...one, ...parameters };
    fillChoice('model', models.map(m => m.name), model.name);
  } catch (e) {
    if (!(e instanceof Failure)) throw e;
    byId('card-body').textContent = e.message;
    return;
  }
  fillCard(model);
  fillChoice('map-class', ['', ...model.classes], '', { '': 'predicted class' });
  byId('score-head').textContent = model.positive ?? 'Score';
}

function fillChoice(id, values, value, names = {}) {
  byId(id).replaceChildren(...values.map(v => new Option(names[v] ?? v, v)));
  byId(id).value = value;
  byId(id).hidden = values.length < 2;
}

/* All images anew, with another model. */
function changeModel() {
  cancel();
  known = loadModel(byId('model').value);
  items.forEach(again);
}

/* ---- Controls ---- */

const click = (id, act) => byId(id).addEventListener('click', act);

const keys = {
  '+': () => viewer.zoomBy(1.25), '=': () => viewer.zoomBy(1.25), '-': () => viewer.zoomBy(0.8), 0: () => viewer.fit(),
  i: () => viewer.setInverted(!viewer.inverted), a: () => viewer.autoWindow(), r: () => viewer.reset(), j: () => step(1), k: () => step(-1),
  h: () => setOpacity(viewer.opacity > 0 ? 0 : lastOpacity),
};
const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
let lastOpacity = viewer.opacity;

function setOpacity(share) {
  if (share > 0) lastOpacity = share;
  byId('opacity').value = Math.round(100 * share);
  viewer.setOpacity(share);
}

function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]') || chosen === null) return;
  if (e.target.matches('input, select')) return;
  if (e.target === byId('stage') && moves[e.key]) viewer.panBy(...moves[e.key]);
  else if (e.target.matches('.pick') && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
    step(e.key === 'ArrowDown' ? 1 : -1);
    chosen.row.querySelector('.pick').focus();
  } else if (keys[e.key.toLowerCase()]) keys[e.key.toLowerCase()]();
  else return;
  e.preventDefault();
}

function setTheme(light) {
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  byId('theme').setAttribute('aria-pressed', light);
  try { localStorage.setItem('cxr-theme', light ? 'light' : 'dark'); } catch { /* storage may be off: then it lasts for this visit */ }
}

function storedTheme() {
  try { return localStorage.getItem('cxr-theme'); } catch { return null; }
}

function connect() {
  for (const id of ['add', 'welcome-add']) click(id, () => byId('files').click());
  byId('files').addEventListener('change', e => { add(e.target.files); e.target.value = ''; });
  click('tool-pan', () => viewer.setTool('pan'));
  click('tool-window', () => viewer.setTool('window'));
  click('zoom-in', keys['+']);
  click('zoom-out', keys['-']);
  click('zoom-fit', keys[0]);
  click('invert', keys.i);
  click('auto', keys.a);
  click('reset', keys.r);
  click('next', keys.j);
  click('previous', keys.k);
  click('export', save);
  click('clear', clear);
  click('cancel', cancel);
  click('again', () => again(chosen));
  click('retry', () => items.filter(unanswered).forEach(again));
  click('banner-retry', () => server.goOn());
  click('theme', () => setTheme(document.documentElement.dataset.theme === 'dark'));
  click('card-open', () => byId('card').showModal());
  byId('opacity').addEventListener('input', e => setOpacity(e.target.value / 100));
  for (const id of ['width', 'level'])
    byId(id).addEventListener('input', () => viewer.setWindow(byId('width').valueAsNumber, byId('level').valueAsNumber));
  byId('model').addEventListener('change', changeModel);
  byId('map-class').addEventListener('change', () => { if (chosen?.answer) showMap(chosen); });
  document.addEventListener('keydown', onKey);
  document.addEventListener('paste', e => {
    if (e.clipboardData.files.length === 0) return;
    e.preventDefault();
    add(e.clipboardData.files);
  });
}

function connectDrop() {
  let depth = 0; /* entering an element comes before leaving the last one */
  const drag = by => e => {
    if (!e.dataTransfer.types.includes('Files')) return;
    e.preventDefault();
    depth = Math.max(0, depth + by);
    document.body.classList.toggle('dropping', depth > 0);
  };
  document.addEventListener('dragenter', drag(1));
  document.addEventListener('dragover', drag(0));
  document.addEventListener('dragleave', drag(-1));
  document.addEventListener('drop', async e => {
    depth = 0;
    document.body.classList.remove('dropping');
    e.preventDefault();
    add(await dropped(e.dataTransfer));
  });
}

const local = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
for (const p of document.querySelectorAll('.private'))
  p.textContent = local
    ? 'Images stay on this computer and are not stored: they go to the cxr that runs here, without their names.'
    : `Images go to ${location.host} alone, without their names, and are not stored.`;
setTheme(storedTheme() === 'light');
connect();
connectDrop();
showView(viewer);
known = loadModel();
