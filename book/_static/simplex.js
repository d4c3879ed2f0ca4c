/* Temperature on the simplex: samples and density of the Gumbel-Softmax distribution for three classes.
 * Fills every element of class "gs-simplex". Plain JavaScript, no network, no kernel. The noise is drawn once and kept, so
 * a change of temperature or probabilities moves the same samples, as reparameterisation does. */
(() => {
  "use strict";

  const say = window.bookSay;

  const SAMPLES = 400, GRID = 110, HEIGHT = Math.sqrt(3) / 2, MARGIN = 0.09;
  const CORNERS = [[0, 0], [1, 0], [0.5, HEIGHT]];
  // Colour-blind safe, lighter in the dark; each class has a shape as well.
  const COLORS = {light: ["#0072b2", "#d55e00", "#009e73"], dark: ["#56b4e9", "#ff8c42", "#35c89b"]};

  // A small generator with a fixed seed (mulberry32): every reader sees the same samples.
  function generator(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
  }

  const uniform = generator(7);
  const NOISE = Array.from({length: SAMPLES}, () => [0, 1, 2].map(() => -Math.log(-Math.log(uniform()))));

  const argmax = (v) => v.indexOf(Math.max(...v));

  function softmax(v) {
    const top = Math.max(...v), e = v.map((x) => Math.exp(x - top)), sum = e[0] + e[1] + e[2];
    return e.map((x) => x / sum);
  }

  // Equation 3 of Jang et al. for k = 3, up to the constant Gamma(3), from log y.
  function logDensity(y, pi, tau) {
    const logs = y.map(Math.log), terms = pi.map((p, i) => Math.log(p) - tau * logs[i]), top = Math.max(...terms);
    const sum = top + Math.log(terms.reduce((s, t) => s + Math.exp(t - top), 0));
    return 2 * Math.log(tau) - 3 * sum + pi.reduce((s, p, i) => s + Math.log(p) - (tau + 1) * logs[i], 0);
  }

  const toPlane = (y) => [0, 1].map((d) => y.reduce((s, w, i) => s + w * CORNERS[i][d], 0));

  function toSimplex([u, v]) {
    const c = v / HEIGHT, b = u - 0.5 * c;
    return [1 - b - c, b, c];
  }

  function clampToSimplex(y) {
    const low = 0.02, raised = y.map((w) => Math.max(low, w)), sum = raised[0] + raised[1] + raised[2];
    return raised.map((w) => w / sum);
  }

  class Simplex {
    constructor(root, number) {
      this.pi = [0.5, 0.3, 0.2];
      this.tau = 0.5;
      root.innerHTML = `
        <canvas tabindex="0" role="application" aria-describedby="gs-simplex-say-${number}"
          aria-label="${say("Triangle of the three class probabilities. Arrow keys move the probabilities.")}"></canvas>
        <div class="gs-controls">
          <label>${say("temperature")} <input type="range" min="-1.3" max="1" step="0.01" value="-0.301"
            aria-label="${say("temperature")}"><output aria-live="off"></output></label>
          <label><input type="checkbox" checked> ${say("show the density")}</label>
        </div>
        <p id="gs-simplex-say-${number}" role="status"></p>`;
      this.canvas = root.querySelector("canvas");
      this.slider = root.querySelector("input[type=range]");
      this.density = root.querySelector("input[type=checkbox]");
      this.output = root.querySelector("output");
      this.say = root.querySelector("p");
      this.slider.addEventListener("input", () => { this.tau = 10 ** Number(this.slider.value); this.draw(); });
      this.density.addEventListener("change", () => this.draw());
      this.canvas.addEventListener("pointerdown", (e) => { this.canvas.setPointerCapture(e.pointerId); this.drag(e); });
      this.canvas.addEventListener("pointermove", (e) => { if (e.buttons) this.drag(e); });
      this.canvas.addEventListener("keydown", (e) => this.key(e));
      new ResizeObserver(() => this.draw()).observe(root);
      window.addEventListener("resize", () => this.draw());  // a zoom: other pixels, the same size
      new MutationObserver(() => this.draw()).observe(document.documentElement, {attributeFilter: ["data-theme"]});
      this.draw();
    }

    key(event) {
      const move = {ArrowLeft: [-0.03, 0], ArrowRight: [0.03, 0], ArrowUp: [0, 0.03], ArrowDown: [0, -0.03]}[event.key];
      if (!move) return;
      event.preventDefault();
      const at = toPlane(this.pi);
      this.pi = clampToSimplex(toSimplex([at[0] + move[0], at[1] + move[1]]));
      this.draw();
    }

    drag(event) {
      const box = this.canvas.getBoundingClientRect(), scale = box.width / (1 + 2 * MARGIN);
      const u = (event.clientX - box.left) / scale - MARGIN;
      const v = HEIGHT - ((event.clientY - box.top) / scale - MARGIN);
      this.pi = clampToSimplex(toSimplex([u, v]));
      this.draw();
    }

    draw() {
      const ratio = window.devicePixelRatio || 1, width = Math.min(480, this.canvas.parentElement.clientWidth || 480);
      const scale = width / (1 + 2 * MARGIN), height = scale * (HEIGHT + 2 * MARGIN);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
      this.canvas.width = width * ratio;
      this.canvas.height = height * ratio;
      const pen = this.canvas.getContext("2d"), ink = getComputedStyle(this.canvas).color;
      const place = (y) => { const [u, v] = toPlane(y); return [(u + MARGIN) * scale, (HEIGHT - v + MARGIN) * scale]; };
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (this.density.checked) this.drawDensity(pen, place, ink, scale);
      pen.strokeStyle = ink;
      pen.lineWidth = 1.5;
      pen.beginPath();
      [[1, 0, 0], [0, 1, 0], [0, 0, 1]].forEach((y, i) => pen[i ? "lineTo" : "moveTo"](...place(y)));
      pen.closePath();
      pen.stroke();

      const logits = this.pi.map(Math.log), counts = [0, 0, 0];
      let near = 0;
      for (const noise of NOISE) {
        const perturbed = logits.map((l, i) => l + noise[i]), winner = argmax(perturbed);
        const y = softmax(perturbed.map((x) => x / this.tau));
        counts[winner] += 1;
        near += y[winner] > 0.95;
        this.mark(pen, place(y), winner, 3);
      }
      pen.fillStyle = ink;
      pen.font = "600 14px sans-serif";
      [1, 2, 3].map((k) => say("class {k}", {k})).forEach((name, i) => {
        const [px, py] = place([0, 1, 2].map((j) => Number(i === j)));
        pen.textAlign = ["left", "right", "center"][i];
        pen.fillText(name, px + [-20, 20, 0][i], py + [20, 20, -8][i]);
      });
      const [px, py] = place(this.pi);
      pen.beginPath();
      pen.arc(px, py, 8, 0, 2 * Math.PI);
      pen.lineWidth = 3;
      pen.stroke();

      const share = (x) => `${Math.round((100 * x) / SAMPLES)} %`, percent = (x) => `${Math.round(100 * x)} %`;
      this.output.textContent = ` ${this.tau.toFixed(2)}`;
      this.slider.setAttribute("aria-valuetext", this.tau.toFixed(2));
      this.say.textContent = say("Probabilities (ring) {pi}. Nearest corner of the samples: {corners}, the same at every temperature. {near} lie within 0.05 of a corner.",
        {pi: this.pi.map(percent).join(", "), corners: counts.map(share).join(", "), near: share(near)});
    }

    mark(pen, [x, y], winner, r) {
      pen.fillStyle = (COLORS[document.documentElement.dataset.theme] ?? COLORS.light)[winner];
      pen.globalAlpha = 0.75;
      pen.beginPath();
      if (winner === 0) pen.arc(x, y, r, 0, 2 * Math.PI);
      else if (winner === 1) pen.rect(x - r, y - r, 2 * r, 2 * r);
      else { pen.moveTo(x, y - 1.3 * r); pen.lineTo(x + 1.2 * r, y + r); pen.lineTo(x - 1.2 * r, y + r); }
      pen.fill();
      pen.globalAlpha = 1;
    }

    drawDensity(pen, place, ink, scale) {
      const cells = [];
      for (let a = 0; a < GRID; a++) {
        for (let b = 0; b < GRID - a; b++) {
          const y = [a + 1 / 3, b + 1 / 3, GRID - a - b - 2 / 3].map((w) => w / GRID);
          cells.push([y, logDensity(y, this.pi, this.tau)]);
        }
      }
      const sorted = cells.map((c) => c[1]).sort((p, q) => p - q), top = sorted[Math.floor(0.99 * sorted.length)];
      const width = scale / GRID, height = (scale * HEIGHT) / GRID;
      pen.fillStyle = ink;
      for (const [y, value] of cells) {
        const [px, py] = place(y);
        pen.globalAlpha = 0.5 * Math.min(1, Math.exp(0.4 * (value - top)));
        pen.fillRect(px - width / 2, py - height / 2, width, height);
      }
      pen.globalAlpha = 1;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".gs-simplex").forEach((root, i) => new Simplex(root, i));
  });
})();
