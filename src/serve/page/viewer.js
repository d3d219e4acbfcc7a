/* The image as radiograph viewers show it: zoom, pan, window and level, invert, and a heat map over it. */

const SIDE_MOST = 4096; /* pixels kept of an image's longer side */
const ZOOM_LEAST = 0.5, ZOOM_MOST = 32;
const HEAT_SIDE = 256;
/* Anchors of the colour map "plasma" (van der Walt, Smith 2015), evenly spaced. */
const PLASMA = [[13, 8, 135], [92, 1, 166], [156, 23, 158], [203, 71, 120], [237, 120, 83], [253, 178, 46], [240, 249, 33]];

const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

/* The greys of an image file as the server decodes it: turned as its EXIF orientation says, and what is transparent over black. */
export async function decode(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion: 'none' });
  const scale = Math.min(1, SIDE_MOST / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext('2d', { alpha: false, willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data, grey = new Uint8Array(width * height);
  for (let i = 0, p = 0; i < grey.length; i++, p += 4) grey[i] = (77 * rgba[p] + 150 * rgba[p + 1] + 29 * rgba[p + 2]) >> 8;
  const picture = { width, height, grey, fullWidth: bitmap.width, fullHeight: bitmap.height };
  bitmap.close();
  return picture;
}

function colourOf(share) {
  const at = clamp(share, 0, 1) * (PLASMA.length - 1), low = Math.min(Math.floor(at), PLASMA.length - 2), t = at - low;
  return PLASMA[low].map((c, i) => c + t * (PLASMA[low + 1][i] - c));
}

/* The map between the centres of its cells, bilinear, as shares of its largest value: null when it is empty. */
function paintHeat({ width, height, values }) {
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  if (!(most > 0)) return null;
  const canvas = new OffscreenCanvas(HEAT_SIDE, HEAT_SIDE), context = canvas.getContext('2d');
  const pixels = context.createImageData(HEAT_SIDE, HEAT_SIDE);
  for (let y = 0, p = 0; y < HEAT_SIDE; y++) {
    const v = clamp((y + 0.5) / HEAT_SIDE * height - 0.5, 0, height - 1), y0 = Math.floor(v), y1 = Math.min(y0 + 1, height - 1);
    for (let x = 0; x < HEAT_SIDE; x++, p += 4) {
      const u = clamp((x + 0.5) / HEAT_SIDE * width - 0.5, 0, width - 1), x0 = Math.floor(u), x1 = Math.min(x0 + 1, width - 1);
      const top = (1 - u + x0) * values[y0 * width + x0] + (u - x0) * values[y0 * width + x1];
      const low = (1 - u + x0) * values[y1 * width + x0] + (u - x0) * values[y1 * width + x1];
      const share = ((1 - v + y0) * top + (v - y0) * low) / most;
      pixels.data.set(colourOf(share), p);
      pixels.data[p + 3] = 255 * share; /* what the model did not use stays clear */
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/* Where the network's square input lies on an image of w x h, by its resize rule. */
function seenBy(rule, w, h) {
  if (rule !== 'fit' && rule !== 'crop') return [0, 0, w, h];
  const side = rule === 'fit' ? Math.max(w, h) : Math.min(w, h);
  return [(w - side) / 2, (h - side) / 2, side, side];
}

export class Viewer {
  #picture = null; #shown = null; #heat = null; #rule = ''; #due = false; #stale = false; #pointers = new Map();

  /* changed(viewer): zoom, window, level or tool is another. */
  constructor(stage, canvas, changed) {
    Object.assign(this, { stage, canvas, changed, tool: 'pan', inverted: false, opacity: 0.5 });
    this.context = canvas.getContext('2d', { alpha: false });
    new ResizeObserver(() => this.#redraw()).observe(stage);
    stage.addEventListener('wheel', e => this.#wheel(e), { passive: false });
    stage.addEventListener('pointerdown', e => this.#down(e));
    stage.addEventListener('pointermove', e => this.#move(e));
    for (const type of ['pointerup', 'pointercancel']) stage.addEventListener(type, e => this.#up(e));
    stage.addEventListener('contextmenu', e => e.preventDefault());
    stage.addEventListener('dblclick', () => this.fit());
    this.reset();
  }

  /* What decode() gave, or null. */
  show(picture) {
    this.#picture = picture;
    this.#heat = null;
    this.#shown = picture && new OffscreenCanvas(picture.width, picture.height);
    this.reset();
  }

  /* map: {width, height, values} or null. false when there is nothing to see in it. */
  setHeat(map, rule) {
    this.#heat = map && paintHeat(map);
    this.#rule = rule;
    this.#redraw();
    return this.#heat !== null;
  }

  setOpacity(share) { this.opacity = share; this.#redraw(); }
  setInverted(on) { this.inverted = on; this.#rewindow(); }
  setTool(tool) { this.tool = tool; this.#redraw(); }

  /* As DICOM says (PS3.3, C.11.2.1.2.1): width 2 to 512, level 0 to 255. 256 and 128 leave the greys as they are. */
  setWindow(width, level) {
    this.width = Math.round(clamp(width, 2, 512));
    this.level = Math.round(clamp(level, 0, 255));
    this.#rewindow();
  }

  /* From the first to the 99th percentile of the image's greys. */
  autoWindow() {
    if (!this.#picture) return;
    const counts = new Uint32Array(256), grey = this.#picture.grey;
    for (const g of grey) counts[g]++;
    const at = share => { let sum = 0, g = 0; while (g < 255 && (sum += counts[g]) < share * grey.length) g++; return g; };
    const low = at(0.01), high = at(0.99);
    this.setWindow(high - low + 1, (low + high + 1) / 2);
  }

  fit() { this.zoom = 1; this.x = this.y = 0.5; this.#redraw(); }
  reset() { this.width = 256; this.level = 128; this.fit(); this.#rewindow(); }
  zoomBy(factor) { this.#zoomAt(factor, this.stage.clientWidth / 2, this.stage.clientHeight / 2); }
  /* By shares of the stage. */
  panBy(right, down) { this.#panPixels(-right * this.stage.clientWidth, -down * this.stage.clientHeight); }
  /* Pixels of the screen for one of the image. */
  get scale() { return this.#picture ? this.#fitScale() * this.zoom * this.#picture.width / this.#picture.fullWidth : 1; }

  #fitScale() { return Math.min(this.stage.clientWidth / this.#picture.width, this.stage.clientHeight / this.#picture.height); }

  #panPixels(dx, dy) {
    if (!this.#picture) return;
    const scale = this.#fitScale() * this.zoom;
    this.x = clamp(this.x - dx / (this.#picture.width * scale), 0, 1);
    this.y = clamp(this.y - dy / (this.#picture.height * scale), 0, 1);
    this.#redraw();
  }

  /* The point of the image under (px, py) stays there. */
  #zoomAt(factor, px, py) {
    const old = this.zoom, dx = this.stage.clientWidth / 2 - px, dy = this.stage.clientHeight / 2 - py;
    this.zoom = clamp(old * factor, ZOOM_LEAST, ZOOM_MOST);
    const grown = this.zoom / old - 1;
    this.#panPixels(dx * grown, dy * grown);
    if (this.zoom <= 1) { this.x = this.y = 0.5; }
    this.#redraw();
  }

  #wheel(e) {
    if (!this.#picture) return;
    e.preventDefault();
    const box = this.stage.getBoundingClientRect(), step = e.deltaY * [1, 18, 300][e.deltaMode];
    this.#zoomAt(Math.exp(clamp(-step, -240, 240) * (e.ctrlKey ? 0.008 : 0.002)), e.clientX - box.left, e.clientY - box.top);
  }

  #down(e) {
    if (!this.#picture || e.button > 2) return;
    if (e.pointerType === 'mouse') e.preventDefault();
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(e.pointerId);
    this.#pointers.set(e.pointerId, { x: e.clientX, y: e.clientY, windows: e.button === 2 || (e.button === 0 && this.tool === 'window') });
    this.stage.classList.add('dragging');
  }

  #move(e) {
    const last = this.#pointers.get(e.pointerId);
    if (!last) return;
    const dx = e.clientX - last.x, dy = e.clientY - last.y;
    if (this.#pointers.size === 2) this.#pinch(e, last, dx, dy);
    else if (last.windows) this.setWindow(this.width + dx, this.level + dy / 2);
    else this.#panPixels(dx, dy);
    last.x = e.clientX;
    last.y = e.clientY;
  }

  /* One of two fingers has moved. */
  #pinch(e, last, dx, dy) {
    const other = [...this.#pointers.values()].find(p => p !== last), box = this.stage.getBoundingClientRect();
    const before = Math.hypot(last.x - other.x, last.y - other.y), after = Math.hypot(e.clientX - other.x, e.clientY - other.y);
    this.#panPixels(dx / 2, dy / 2);
    if (before > 0) this.#zoomAt(after / before, (e.clientX + other.x) / 2 - box.left, (e.clientY + other.y) / 2 - box.top);
  }

  #up(e) {
    this.#pointers.delete(e.pointerId);
    if (this.#pointers.size === 0) this.stage.classList.remove('dragging');
  }

  #rewindow() { this.#stale = true; this.#redraw(); }

  #redraw() {
    this.changed(this);
    /* A finger on a fitted image scrolls the page. */
    this.stage.style.touchAction = this.#picture && (this.zoom > 1 || this.tool === 'window') ? 'none' : 'pan-y';
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => { this.#due = false; this.#draw(); });
  }

  #applyWindow() {
    const { width, height, grey } = this.#picture, tones = new Uint32Array(256);
    for (let v = 0; v < 256; v++) {
      const share = clamp((v - (this.level - 0.5)) / Math.max(this.width - 1, 1) + 0.5, 0, 1);
      const tone = Math.round(255 * (this.inverted ? 1 - share : share));
      tones[v] = (0xff000000 | tone << 16 | tone << 8 | tone) >>> 0;
    }
    const pixels = new ImageData(width, height), words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < words.length; i++) words[i] = tones[grey[i]];
    this.#shown.getContext('2d', { alpha: false }).putImageData(pixels, 0, 0);
    this.#stale = false;
  }

  #draw() {
    const dense = window.devicePixelRatio || 1, { canvas, context } = this;
    const w = Math.round(this.stage.clientWidth * dense), h = Math.round(this.stage.clientHeight * dense);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    context.fillStyle = '#050505';
    context.fillRect(0, 0, w, h);
    if (!this.#picture || w === 0 || h === 0) return;
    if (this.#stale) this.#applyWindow();
    const k = this.#fitScale() * this.zoom * dense, pw = this.#picture.width * k, ph = this.#picture.height * k;
    const left = w / 2 - this.x * pw, top = h / 2 - this.y * ph;
    context.imageSmoothingEnabled = k < 6;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.#shown, left, top, pw, ph);
    if (!this.#heat || this.opacity === 0) return;
    const [bx, by, bw, bh] = seenBy(this.#rule, pw, ph);
    context.save();
    context.beginPath();
    context.rect(left, top, pw, ph);
    context.clip();
    context.imageSmoothingEnabled = true;
    context.globalAlpha = this.opacity;
    context.drawImage(this.#heat, left + bx, top + by, bw, bh);
    context.restore();
  }
}
