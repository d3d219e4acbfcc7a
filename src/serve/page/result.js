/* An answer in words and on a scale. Names come from files and models: they are set as text, never as markup. */

export const byId = id => document.getElementById(id);
export const make = (tag, className = '', text = '') => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};

/* A probability for readers: no more digits than it can bear. */
export function percent(p) {
  if (p > 0.9995) return '> 99.9\u00a0%';
  if (p < 0.0005) return '< 0.1\u00a0%';
  return `${(100 * p).toFixed(1)}\u00a0%`;
}

/* What a row of the table and the panel call an answer: called (the positive class), clear, or none (the model abstains). */
export function kindOf(answer) {
  if (answer.status !== 'ok') return 'none';
  return answer.positive === null || answer.prediction === answer.positive ? 'called' : 'clear';
}

/* The probability that images are sorted by: that of the positive class, or of the predicted one when there is none. */
export const scoreOf = answer => answer.probabilities[answer.positive ?? answer.prediction];

function placeText(axis, className, text, at) {
  const label = make('span', `text ${className}`, text);
  label.style.left = `${100 * at}%`;
  label.style.transform = `translateX(${at < 0.2 ? -0.5 : at > 0.8 ? -100 : -50}%)`;
  if (at < 0.2) label.style.transform = `translateX(-${Math.round(100 * at * 2.5)}%)`;
  if (at > 0.8) label.style.transform = `translateX(-${Math.round(50 + 250 * (at - 0.8))}%)`;
  axis.append(label);
}

/* The operating points beside the threshold that the model has: what each is called, what draws it, and where it lies. */
const pointsOf = answer => [['rule-out', 'out', answer.ruleOut], ['rule-in', 'in', answer.ruleIn]].filter(([, , at]) => at !== null);

/* On which side of them the image lies. A model that parts its classes well can have them the other way round. */
function pointsWords(answer) {
  const { positive, threshold, ruleOut, ruleIn } = answer, p = scoreOf(answer);
  const out = ruleOut !== null && p < ruleOut, within = ruleIn !== null && p >= ruleIn;
  if (pointsOf(answer).length === 0 || answer.status !== 'ok') return '';
  if (out && within) return 'Below the rule-out point and at or above the rule-in point, which contradict each other here.';
  const disagree = (out && p >= threshold) || (within && p < threshold) ? ' The class named above goes by the threshold alone.' : '';
  if (out) return `Below the rule-out point: ${positive} is ruled out.${disagree}`;
  if (within) return `At or above the rule-in point: ${positive} is ruled in.${disagree}`;
  if (ruleIn === null) return `At or above the rule-out point: ${positive} is not ruled out.`;
  if (ruleOut === null) return `Below the rule-in point: ${positive} is not ruled in.`;
  return `Between the rule-out and the rule-in point: ${positive} is neither ruled out nor ruled in.`;
}

function pointsLegend(points) {
  const legend = make('div', 'points');
  legend.setAttribute('aria-hidden', 'true'); /* the scale's own name says it */
  for (const [name, kind, at] of points) {
    const one = make('span');
    one.append(make('i', `point ${kind}`), `${name} ${percent(at)}`);
    legend.append(one);
  }
  return legend;
}

function twoClassScale(answer) {
  const p = scoreOf(answer), t = answer.threshold, axis = make('div', 'axis'), points = pointsOf(answer);
  axis.setAttribute('role', 'img');
  axis.setAttribute('aria-label',
    `Probability of ${answer.positive}: ${percent(p)}, on a scale from 0 to 100 %, with the threshold at ${percent(t)}`
    + `${points.map(([name, , at]) => `, the ${name} point at ${percent(at)}`).join('')}.`);
  const line = make('span', 'line'), above = make('i'), limit = make('span', 'limit'), mark = make('span', `mark ${kindOf(answer)}`);
  above.style.width = `${100 * (1 - t)}%`;
  line.append(above);
  limit.style.left = `${100 * t}%`;
  mark.style.left = `${100 * p}%`;
  axis.append(line, limit, mark);
  for (const [, kind, at] of points) {
    const point = make('span', `point ${kind}`);
    point.style.left = `${100 * at}%`;
    axis.append(point);
  }
  placeText(axis, 'value', percent(p), p);
  placeText(axis, 'limits', `threshold ${percent(t)}`, t);
  if (t > 0.3) placeText(axis, 'end', '0', 0);
  if (t < 0.7) placeText(axis, 'end', '100 %', 1);
  return points.length > 0 ? [axis, pointsLegend(points)] : [axis];
}

function manyClassScale(answer) {
  const list = make('div', 'classes');
  for (const [name, p] of Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1])) {
    const row = make('div'), track = make('span', 'track'), bar = make('i');
    bar.style.width = `${100 * p}%`;
    track.append(bar);
    row.append(make('span', '', name), make('span', '', percent(p)), track);
    list.append(row);
  }
  return [list];
}

function ofHundred(p) {
  const n = Math.round(100 * p);
  return p > 0.995 ? 'more than 99 are' : p < 0.005 ? 'fewer than 1 is' : `about ${n} ${n === 1 ? 'is' : 'are'}`;
}

/* What the probability says, as a frequency, and where it stops saying it. */
function showMeaning(answer, calibrated) {
  const p = scoreOf(answer), name = answer.positive ?? answer.prediction, abstains = answer.status !== 'ok';
  byId('meaning-words').textContent = abstains
    ? 'The model gives no answer for this image. The number above is what it computed, and should not be relied on.'
    : calibrated
      ? `Of 100 images to which the model gives this probability, ${ofHundred(p)} ${name}.`
      : 'This model has not been calibrated: the number orders images, and is not a frequency.';
  const frequency = calibrated && !abstains;
  byId('hundred').hidden = byId('meaning-limits').hidden = !frequency;
  if (!frequency) return;
  byId('meaning-limits').textContent =
    'This holds for images like those it was calibrated on. With other ages or machines, or where the illness is rarer or more common, the share will differ.';
  const full = Math.round(100 * p);
  byId('hundred').replaceChildren(...Array.from({ length: 100 }, (_, i) => make('i', i < full ? 'full' : '')));
}

function side(answer) {
  if (answer.positive === null) return 'The most probable class.';
  const above = scoreOf(answer) >= answer.threshold;
  return `${answer.positive} has a probability of ${percent(scoreOf(answer))}, ${above ? 'at or above' : 'below'} the threshold of ${percent(answer.threshold)}.`;
}

/* One sentence for those who hear the page. */
export function spoken(item) {
  if (item.state === 'failed') return `${item.name}: ${item.error}`;
  const a = item.answer;
  return a.status !== 'ok' ? `${item.name}: the model abstains: ${a.reason}.` : `${item.name}: ${a.prediction}. ${side(a)} ${pointsWords(a)}`.trim();
}

const headOf = { waiting: 'Waiting', working: 'Reading the image', cancelled: 'Cancelled' };

function milliseconds(ms) { return ms < 10 ? `${ms.toFixed(1)}\u00a0ms` : ms < 1000 ? `${Math.round(ms)}\u00a0ms` : `${(ms / 1000).toFixed(1)}\u00a0s`; }

function showAnswer(item, calibrated) {
  const a = item.answer, kind = kindOf(a);
  byId('verdict').className = kind;
  byId('verdict').textContent = kind === 'none' ? 'No answer' : a.prediction;
  byId('verdict-words').textContent = kind === 'none' ? `The model abstains: ${a.reason}.` : side(a);
  byId('answer').classList.toggle('withheld', kind === 'none');
  byId('scale').replaceChildren(...(a.positive === null ? manyClassScale(a) : twoClassScale(a)));
  byId('points-words').textContent = a.positive === null ? '' : pointsWords(a);
  showMeaning(a, calibrated);
  byId('status').className = kind;
  byId('status').textContent = a.status === 'ok' ? 'ok: no reason to abstain was found' : a.status;
  byId('time').textContent = a.ms === null ? `${milliseconds(item.took)} in all` : `${milliseconds(a.ms)} in the server, ${milliseconds(item.took)} in all`;
}

/* The panel of the chosen image. */
export function showResult(item, calibrated) {
  byId('result-title').textContent = item.name;
  byId('again').hidden = item.state !== 'failed' && item.state !== 'cancelled';
  byId('answer').hidden = item.state !== 'done';
  if (item.state === 'done') return showAnswer(item, calibrated);
  byId('verdict').className = item.state === 'failed' ? 'failed' : `waiting ${item.state}`;
  byId('verdict').textContent = item.state === 'failed' ? 'No result' : headOf[item.state];
  byId('verdict-words').textContent = item.state === 'failed' ? item.error : '';
}

const whole = share => `${Math.round(100 * share)}\u00a0%`;

/* What is under the heat map: what it is, and what of its check can be had at once. answer: of /explain, or null. */
export function showCaption(words, answer) {
  const trust = byId('map-trust'), doubtful = answer !== null && !(answer.lungs >= answer.lungs_area && answer.lungs_area > 0);
  byId('map-words').textContent = words;
  trust.className = doubtful ? 'doubtful' : 'faint';
  trust.textContent = '';
  if (answer === null) return;
  trust.append((doubtful ? 'Doubtful: ' : '') + (answer.lungs === null ? 'no lungs were found to compare it with.'
    : `${whole(answer.lungs)} of it lies on the estimated lungs, which take ${whole(answer.lungs_area)} of the picture.`), ' Full check: ',
  make('code', '', 'cxr explain --check'), '.');
}
