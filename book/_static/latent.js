/* Walking the codes of a trained discrete VAE; the model's decoder comes from book/tools/latent.py (window.gsLatent).
 * Takes the place of the picture in every figure of class "gs-latent". Plain JavaScript, no network, no kernel. */
(() => {
  "use strict";

  const say = window.bookSay;
  const SIDE = 28, PIXELS = SIDE * SIDE, UNITS = 20, CLASSES = 10, PAUSE = 350;
  const LESS = {light: [194, 82, 0], dark: [255, 157, 92]}; // what takes ink away; what adds ink has the text's colour

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const range = (n) => [...Array(n).keys()];

  class Decoder {
    constructor(data) {
      this.bias = new Float32Array(bytes(data.bias));
      const scale = new Float32Array(bytes(data.scale)), numbers = new Int8Array(bytes(data.templates));
      this.templates = range(UNITS * CLASSES).map((row) =>
        Float32Array.from(numbers.subarray(row * PIXELS, (row + 1) * PIXELS), (x) => x * scale[row]));
      // A strong effect on one pixel, which a switch shows in full colour.
      const strong = scale.slice().sort()[Math.floor(0.8 * scale.length)] * 127 * 0.6;
      // In the corners, where no digit has ink, a template has no effect: there it fades.
      this.effect = this.bias.map((b) => 1 / Math.cosh(b / 2) / strong);
    }

    template(unit, k) { return this.templates[unit * CLASSES + k]; }

    /* Probability of ink in each pixel: the sigmoid of the bias plus one template for each unit. */
    ink(code) {
      const logits = this.bias.slice();
      code.forEach((k, unit) => this.template(unit, k).forEach((x, i) => { logits[i] += x; }));
      return logits.map((x) => 1 / (1 + Math.exp(-x)));
    }
  }

  const theme = () => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");

  /* Values in -1..1: what is positive in the colour of the text, what is negative in orange. */
  function paint(canvas, values) {
    canvas.width = canvas.height = SIDE;
    const pen = canvas.getContext("2d"), picture = pen.createImageData(SIDE, SIDE);
    const more = getComputedStyle(canvas).color.match(/[\d.]+/g).slice(0, 3).map(Number), less = LESS[theme()];
    values.forEach((value, i) => {
      picture.data.set(value < 0 ? less : more, 4 * i);
      picture.data[4 * i + 3] = Math.round(255 * Math.min(1, Math.abs(value)));
    });
    pen.putImageData(picture, 0, 0);
  }

  /* Where the centre of some weights lies, in words. */
  function where(weights) {
    let total = 0, x = 0, y = 0;
    weights.forEach((w, i) => { total += w; x += w * (i % SIDE); y += w * Math.floor(i / SIDE); });
    const part = (at, names) => names[at / total < 11.5 ? 0 : at / total < 15.5 ? 1 : 2];
    const words = [part(y, ["top", "", "bottom"]), part(x, ["left", "", "right"])].filter(Boolean).join(" ");
    return say(words ? `at the ${words}` : "in the middle");
  }

  class Latent {
    constructor(root, number) {
      const data = window.gsLatent;
      if (!data) {
        root.innerHTML = `<p>${say("The model of this figure is not trained yet. {train} trains it, {keep} keeps its weights, and the next build of the book shows it here.",
          {train: "<code>python -m gsbook run vae-categorical-gumbel_softmax --budget laptop</code>",
            keep: "<code>python -m gsbook keep vae-categorical-gumbel_softmax</code>"})}</p>`;
        return;
      }
      this.decoder = new Decoder(data);
      this.data = data;
      this.calm = matchMedia("(prefers-reduced-motion: reduce)");
      this.images = range(10).map((d) => new Uint8Array(bytes(data.images)).subarray(d * PIXELS, (d + 1) * PIXELS));
      const digit = (d) => `<label><input type="radio" name="gs-digit-${number}" value="${d}"${d === 3 ? " checked" : ""}>` +
        `<canvas role="img" aria-label="${say("digit {d}", {d})}"></canvas></label>`;
      const share = (unit, k) => Math.round(100 * data.share[unit][k]);
      const key = (unit) => (k) => `<button type="button" role="radio" aria-checked="false" tabindex="-1"` +
        `${share(unit, k) < 1 ? ' class="gs-rare"' : ""} aria-label="${say("class {k}, chosen for {share} % of digits", {k: k + 1, share: share(unit, k)})}">` +
        "<canvas></canvas></button>";
      const row = (unit) => `<div role="radiogroup" aria-label="${say("unit {n}", {n: unit + 1})}"><span aria-hidden="true">${unit + 1}</span>` +
        range(CLASSES).map(key(unit)).join("") + "</div>";
      root.innerHTML = `
        <fieldset class="gs-digits"><legend>${say("start with")}</legend>${range(10).map(digit).join("")}</fieldset>
        <div class="gs-controls gs-walk">
          <label>${say("walk to")} <select>${range(10).map((d) => `<option${d === 8 ? " selected" : ""}>${d}</option>`).join("")}</select></label>
          <button type="button" class="gs-play"></button>
          <label>${say("units changed")} <input type="range" min="0" step="1" value="0"><output aria-live="off"></output></label>
        </div>
        <div class="gs-bench">
          <div class="gs-views">
            <div><canvas class="gs-picture" role="img" aria-label="${say("Probability of ink, as decoded")}"
              aria-describedby="gs-latent-say-${number}"></canvas>${say("the picture")}</div>
            <div><canvas class="gs-change" role="img" aria-label="${say("Change of the picture by the last step")}"
              aria-describedby="gs-latent-say-${number}"></canvas>${say("its last change")}</div>
            <p role="status" id="gs-latent-say-${number}"></p>
          </div>
          <div class="gs-switches" role="group" aria-label="${say("The code: arrow keys left and right change the class, up and down the unit")}">${range(UNITS).map(row).join("")}</div>
        </div>
        <p class="gs-note">${say("Orange takes ink away. Pale switches are classes that almost no digit uses. The model was trained by Gumbel-Softmax for {steps} steps.",
          {steps: data.steps.toLocaleString("en")})}</p>`;
      const find = (query) => root.querySelector(query), all = (query) => [...root.querySelectorAll(query)];
      this.picture = find(".gs-picture");
      this.change = find(".gs-change");
      this.status = find("[role=status]");
      this.digits = all(".gs-digits input");
      this.keys = all("[role=radiogroup]").map((group) => [...group.querySelectorAll("button")]);
      this.goal = find("select");
      this.play = find(".gs-play");
      this.slider = find("input[type=range]");
      this.output = find("output");

      this.digits.forEach((input, d) => input.addEventListener("change", () => this.begin(d)));
      this.keys.forEach((keys, unit) => keys.forEach((button, k) => {
        button.addEventListener("click", () => this.set(unit, k));
        button.addEventListener("keydown", (e) => this.key(e, unit, k));
      }));
      this.goal.addEventListener("change", () => { this.stop(); this.aim(); });
      this.slider.addEventListener("input", () => { this.stop(); this.step(Number(this.slider.value)); });
      this.play.addEventListener("click", () => this.walk());
      new MutationObserver(() => this.repaint()).observe(document.documentElement, {attributeFilter: ["data-theme"]});
      this.begin(3);
      this.repaint();
    }

    /* The code of a test image. */
    begin(digit) {
      this.stop();
      this.code = this.data.codes[digit].slice();
      this.aim();
      this.show(this.code, say("The code of a test image of {digit}. Change one of its units.", {digit}), false);
    }

    /* Where a walk from the present code leads: the units that differ, in order. */
    aim() {
      const goal = this.data.codes[Number(this.goal.value)];
      this.start = this.code.slice();
      this.path = range(UNITS).filter((unit) => this.start[unit] !== goal[unit]);
      this.end = goal;
      this.slider.max = this.path.length;
      this.slider.value = 0;
      this.slider.disabled = this.play.disabled = !this.path.length;
      this.count();
    }

    count() {
      const text = say("{n} of {all}", {n: this.slider.value, all: this.path.length});
      this.output.textContent = ` ${text}`;
      this.slider.setAttribute("aria-valuetext", text);
    }

    step(length) {
      const code = this.start.slice();
      this.path.slice(0, length).forEach((unit) => { code[unit] = this.end[unit]; });
      this.slider.value = length;
      this.count();
      this.show(code, say("{n} of {all} units changed on the way to {goal}.", {n: length, all: this.path.length, goal: this.goal.value}));
    }

    walk() {
      if (this.timer) { this.stop(); return; }
      const at = Number(this.slider.value), from = at === this.path.length ? 0 : at;
      if (this.calm.matches) { this.step(from + 1); return; }
      this.play.textContent = say("stop");
      this.step(from);
      this.timer = setInterval(() => {
        const next = Number(this.slider.value) + 1;
        this.step(next);
        if (next >= this.path.length) this.stop();
      }, PAUSE);
    }

    stop() {
      clearInterval(this.timer);
      this.timer = null;
      this.play.textContent = this.calm.matches ? say("one step") : say("interpolate");
    }

    set(unit, k) {
      this.stop();
      const code = this.code.slice();
      code[unit] = k;
      this.show(code, say("Unit {n} is class {k}, chosen for {share} % of digits.",
        {n: unit + 1, k: k + 1, share: Math.round(100 * this.data.share[unit][k])}));
      this.aim();
      this.focus(unit);
    }

    key(event, unit, k) {
      const [across, down] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
      if (!across && !down) return;
      event.preventDefault();
      if (across) this.set(unit, (k + across + CLASSES) % CLASSES);
      const row = (unit + down + UNITS) % UNITS;
      this.focus(row);
      this.keys[row][this.code[row]].focus();
    }

    /* One switch of the whole code can be reached with Tab: the chosen class of the unit that was used last. */
    focus(unit) {
      this.at = unit;
      this.keys.flat().forEach((button) => { button.tabIndex = -1; });
      this.keys[unit][this.code[unit]].tabIndex = 0;
    }

    show(code, text, step = true) {
      const before = this.ink;
      this.code = code;
      this.ink = this.decoder.ink(code);
      this.difference = this.ink.map((x, i) => (step ? x - before[i] : 0));
      this.keys.forEach((keys, unit) => keys.forEach((button, k) => {
        button.setAttribute("aria-checked", String(code[unit] === k));
      }));
      this.focus(this.at ?? 0);
      paint(this.picture, this.ink);
      paint(this.change, this.difference);
      this.status.textContent = step ? `${text} ${this.words()}` : text;
    }

    words() {
      const more = this.difference.map((x) => Math.max(0, x)), less = this.difference.map((x) => Math.max(0, -x));
      const sum = (v) => v.reduce((a, b) => a + b, 0), count = (n) => (n === 1 ? say("1 pixel") : say("{n} pixels", {n}));
      const much = (v) => ({much: count(Math.round(sum(v))), where: where(v)});
      const parts = [];
      if (sum(more) >= 0.5) parts.push(say("adds {much} of ink {where}", much(more)));
      if (sum(less) >= 0.5) parts.push(say("takes away {much} of ink {where}", much(less)));
      return parts.length ? say("The step {parts}.", {parts: parts.join(say(" and "))}) : say("The picture stays as it was.");
    }

    /* What a change of the theme recolours. */
    repaint() {
      this.digits.forEach((input, d) => paint(input.nextElementSibling, this.images[d]));
      this.keys.forEach((keys, unit) => keys.forEach((button, k) =>
        paint(button.firstElementChild, this.decoder.template(unit, k).map((x, i) => x * this.decoder.effect[i]))));
      paint(this.picture, this.ink);
      paint(this.change, this.difference);
    }
  }

  window.gsFigure("latent", (root, number) => new Latent(root, number));
})();
