/* The model card: what the server says of its model. */
import { byId, make } from './result.js';

function pairs(rows) {
  const list = make('dl');
  for (const [name, value] of rows)
    if (value !== null && value !== undefined && value !== '') list.append(make('dt', '', name), make('dd', '', String(value)));
  return list;
}

const digits = value => typeof value === 'number' ? Number(value.toPrecision(4)) : null;

const pointOf = (at, figure) => at === undefined ? null : `${digits(at)}, chosen for a ${figure} of at least 95\u00a0% in validation`;
const shapeOf = { squash: 'the image squashed to a square', fit: 'the whole image on a square', crop: 'the middle of the image' };

export function fillCard(m) {
  const trained = m.training ?? {};
  byId('card-body').replaceChildren(
    make('p', '', 'For research and teaching. Not a medical device: never the basis of a clinical decision.'),
    pairs([
      ['Model', m.name], ['Fingerprint', m.id], ['Network', m.arch], ['Classes', m.classes.join(', ')], ['Positive class', m.positive],
      ['Threshold', digits(m.threshold)],
      ['Rules out below', pointOf(m.rule_out, 'sensitivity')], ['Rules in from', pointOf(m.rule_in, 'specificity')],
      ['Temperature', m.calibrated ? digits(m.temperature) : 'not calibrated'],
      ['Sees', `${m.size} × ${m.size} pixels, ${shapeOf[m.rule] ?? m.rule}`],
    ]),
    make('h3', '', 'How it was made'),
    pairs([
      ['Recipe', trained.recipe], ['Data', trained.data], ['SHA-256 of the data', trained.data_sha256], ['Epochs', trained.epochs],
      ['Seed', trained.seed], ['Program', trained.cxr ? `cxr ${trained.cxr}` : null],
    ]),
    make('h3', '', 'Limits'),
    make('p', '', 'It tells its classes apart and nothing else: unless it abstains, every image is called one of them, whatever is on it. '
      + 'It was fitted on one collection of images. On others expect less, and measure first, with cxr evaluate. '
      + 'A heat map shows what the model looked at. It does not show what is ill.'));
}
