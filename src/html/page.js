'use strict';
/* The threshold explorer: counts images anew from their scores, which are in the page. Without scores it does nothing. */
(() => {
  const data = document.getElementById('scores');
  if (!data) return;
  const { positive, negative } = JSON.parse(data.textContent); /* scores of the positive class, sorted, by true class */
  const threshold = document.getElementById('threshold');
  const prevalence = document.getElementById('prevalence');
  const put = (id, text) => { document.getElementById(id).textContent = text; };
  const atLeast = (scores, t) => {
    let low = 0, high = scores.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (scores[middle] < t) low = middle + 1; else high = middle;
    }
    return scores.length - low;
  };
  const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(1) + ' %' : '–';
  const show = () => {
    const t = Number(threshold.value), p = Number(prevalence.value) / 100;
    const tp = atLeast(positive, t), fp = atLeast(negative, t);
    const fn = positive.length - tp, tn = negative.length - fp;
    const sensitivity = tp / positive.length, specificity = tn / negative.length;
    const called = sensitivity * p + (1 - specificity) * (1 - p);
    put('at-threshold', t.toFixed(3));
    put('at-prevalence', (100 * p).toFixed(1) + ' %');
    put('tp', tp); put('fn', fn); put('fp', fp); put('tn', tn);
    put('x-sensitivity', share(tp, positive.length));
    put('x-specificity', share(tn, negative.length));
    put('x-accuracy', share(tp + tn, positive.length + negative.length));
    put('x-ppv', share(sensitivity * p, called));
    put('x-npv', share(specificity * (1 - p), 1 - called));
  };
  threshold.addEventListener('input', show);
  prevalence.addEventListener('input', show);
  for (const button of document.querySelectorAll('button[data-threshold]'))
    button.addEventListener('click', () => {
      threshold.value = button.dataset.threshold;
      show();
      threshold.focus();
    });
  show();
})();
