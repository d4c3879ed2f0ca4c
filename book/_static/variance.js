/* Bias and variance of the estimators against temperature, computed by book/tools/variance.py (window.gsVariance).
 * Takes the place of the picture in every figure of class "gs-variance". Plain JavaScript, no network, no kernel. */
(() => {
  "use strict";

  const FLOOR = 0.003, TOP = 20, DRAWS = [1, 10, 100, 1000];
  const say = window.bookSay;
  const PANELS = [say("bias"), say("standard deviation"), say("error, both together")];
  const TICKS = [[FLOOR, "0"], [0.01, "0.01"], [0.1, "0.1"], [1, "1"], [10, "10"]];
  const LEFT = 40, BOTTOM = 36, HEAD = 28, GAP = 16;

  const log = (x) => Math.log10(x);
  const rounded = (x) => (x < FLOOR ? "0" : x < 0.1 ? x.toFixed(3) : x.toFixed(2));

  function shape(parent, tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  }

  class Variance {
    constructor(root, number) {
      this.data = window.gsVariance;
      this.all = Object.keys(this.data.lines);
      const option = (program, i) => `<option value="${i}"${i === 1 ? " selected" : ""}>${say(program.title)}</option>`;
      const choice = (n) => `<label><input type="radio" name="gs-draws-${number}" value="${n}"${n === 100 ? " checked" : ""}>` +
        ` ${n.toLocaleString("en")}</label>`;
      const line = ({label, color, dash}) => `<tr><th scope="row"><svg width="34" height="10" aria-hidden="true"><path ` +
        `d="M0 5H34" stroke="${color}" stroke-width="2.5" stroke-dasharray="${dash}"/></svg> ${label}</th>` +
        "<td></td>".repeat(3) + "</tr>";
      root.innerHTML = `
        <div class="gs-controls">
          <label>${say("program")} <select>${this.data.programs.map(option).join("")}</select></label>
          <label>${say("estimators")} <select><option value="">${say("of the paper")}</option>
            <option value="newer">${say("after the paper")}</option></select></label>
          <fieldset><legend>${say("draws that are averaged")}</legend>${DRAWS.map(choice).join("")}</fieldset>
        </div>
        <svg class="gs-chart" role="img" aria-label="${say("Three charts of bias, standard deviation and error against temperature")}"></svg>
        <div class="gs-controls">
          <label>${say("temperature")} <input type="range" min="0" max="${this.data.taus.length - 1}" step="1"
            value="${this.data.taus.length >> 1}"><output aria-live="off"></output></label>
        </div>
        <p role="status"></p>
        <table><thead><tr><th scope="col">${say("estimator")}</th><th scope="col">${say("bias")}</th>
          <th scope="col">${say("std. dev.")}</th><th scope="col">${say("error")}</th></tr></thead><tbody></tbody></table>`;
      this.chart = root.querySelector(".gs-chart");
      [this.program, this.group] = root.querySelectorAll("select");
      this.draws = [...root.querySelectorAll("input[type=radio]")];
      this.slider = root.querySelector("input[type=range]");
      this.output = root.querySelector("output");
      this.status = root.querySelector("p");
      this.body = root.querySelector("tbody");
      this.line = line;
      [this.program, this.group].forEach((select) => select.addEventListener("change", () => this.draw()));
      this.draws.forEach((draw) => draw.addEventListener("change", () => this.draw()));
      this.slider.addEventListener("input", () => this.point());
      this.chart.addEventListener("pointerdown", (e) => { this.chart.setPointerCapture(e.pointerId); this.drag(e); });
      this.chart.addEventListener("pointermove", (e) => { if (e.buttons) this.drag(e); });
      new ResizeObserver(() => { if (root.clientWidth !== this.width) this.draw(); }).observe(root);
      this.draw();
    }

    /* Bias, standard deviation of the mean of n draws, and root mean square error of an estimator at each temperature. */
    measures(name) {
      const [bias, spread] = this.data.programs[this.program.value].found[name], n = this.n;
      return this.data.taus.map((_, i) => {
        const b = bias[i] ?? bias[0], s = (spread[i] ?? spread[0]) / Math.sqrt(n);
        return [b, s, Math.hypot(b, s)];
      });
    }

    drag(event) {
      const box = this.chart.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      const frame = this.frames.find((f) => x >= f.x - LEFT && x <= f.x + f.width + GAP && y >= f.y - HEAD &&
        y <= f.y + f.height + BOTTOM);
      if (!frame) return;
      const share = Math.min(1, Math.max(0, (x - frame.x) / frame.width));
      this.slider.value = Math.round(share * (this.data.taus.length - 1));
      this.point();
    }

    /* Everything that the temperature does not change. */
    draw() {
      this.n = Number(this.draws.find((draw) => draw.checked).value);
      // The two that the book is about stand beside either group.
      this.names = this.all.filter((name, i) => i < 2 || this.data.lines[name].newer === (this.group.value === "newer"));
      this.body.innerHTML = this.names.map((name) => this.line(this.data.lines[name])).join("");
      this.rows = [...this.body.rows];
      this.found = Object.fromEntries(this.names.map((name) => [name, this.measures(name)]));
      const width = (this.width = this.chart.parentElement.clientWidth), wide = width >= 560;
      const panel = wide ? (width - 3 * LEFT - 2 * GAP - 8) / 3 : width - LEFT - 12, height = wide ? 210 : 120;
      this.frames = PANELS.map((_, i) => wide ? {x: LEFT + i * (panel + LEFT + GAP), y: HEAD, width: panel, height}
        : {x: LEFT, y: HEAD + i * (height + HEAD + BOTTOM), width: panel, height});
      const full = wide ? HEAD + height + BOTTOM : 3 * (HEAD + height + BOTTOM);
      this.chart.setAttribute("viewBox", `0 0 ${width} ${full}`);
      this.chart.style.height = `${full}px`;
      this.chart.replaceChildren();
      this.marks = this.frames.map((frame, i) => this.panel(frame, i));
      this.point();
    }

    place(frame, index, value) {
      const share = (log(Math.max(FLOOR, Math.min(TOP, value))) - log(FLOOR)) / (log(TOP) - log(FLOOR));
      return [frame.x + (index / (this.data.taus.length - 1)) * frame.width, frame.y + (1 - share) * frame.height];
    }

    panel(frame, i) {
      const {x, y, width, height} = frame, bottom = y + height;
      shape(this.chart, "text", {x: x + width / 2, y: y - 10, class: "gs-name"}, PANELS[i]);
      for (const [value, label] of TICKS) {
        const level = this.place(frame, 0, value)[1];
        shape(this.chart, "path", {d: `M${x} ${level}h${width}`, class: value === FLOOR ? "gs-axis" : "gs-grid"});
        shape(this.chart, "text", {x: x - 6, y: level + 4, class: "gs-level"}, label);
      }
      [0.1, 1, 10].forEach((tau, k) => {
        const at = x + (k / 2) * width;
        shape(this.chart, "path", {d: `M${at} ${y}V${bottom}`, class: "gs-grid"});
        shape(this.chart, "text", {x: at, y: bottom + 16, class: "gs-tick"}, String(tau));
      });
      shape(this.chart, "text", {x: x + width / 2, y: bottom + 32, class: "gs-tick"}, say("temperature"));
      for (const name of [...this.names].reverse()) {
        const {color, dash} = this.data.lines[name], values = this.found[name].map((m) => m[i]);
        const points = values.map((value, k) => this.place(frame, k, value).map((c) => c.toFixed(1)).join(" "));
        shape(this.chart, "path", {d: `M${points.join("L")}`, class: "gs-line", stroke: color, "stroke-dasharray": dash});
      }
      const ruler = shape(this.chart, "path", {class: "gs-ruler"});
      const dots = this.names.map((name) => shape(this.chart, "circle", {r: 4.5, fill: this.data.lines[name].color}));
      return {ruler, dots};
    }

    /* What follows the temperature: the ruler, its dots, the table and the text. */
    point() {
      const index = Number(this.slider.value), tau = this.data.taus[index].toFixed(2), least = {};
      this.frames.forEach((frame, i) => {
        const {ruler, dots} = this.marks[i], at = this.place(frame, index, 1)[0];
        ruler.setAttribute("d", `M${at} ${frame.y}v${frame.height}`);
        this.names.forEach((name, k) => {
          const [cx, cy] = this.place(frame, index, this.found[name][index][i]);
          dots[k].setAttribute("cx", cx);
          dots[k].setAttribute("cy", cy);
        });
      });
      this.names.forEach((name, k) => {
        const cells = this.rows[k].querySelectorAll("td");
        this.found[name][index].forEach((value, i) => { cells[i].textContent = rounded(value); });
        const errors = this.found[name].map((m) => m[2]);
        least[name] = this.data.taus[errors.indexOf(Math.min(...errors))].toFixed(2);
      });
      const error = (name) => this.found[name][index][2], label = (name) => this.data.lines[name].label;
      const smallest = Math.min(...this.names.map(error));
      const best = this.names.filter((name) => error(name) === smallest).map(label).join(", ");
      const [soft, hard] = this.names;
      this.output.textContent = ` ${tau}`;
      this.slider.setAttribute("aria-valuetext", tau);
      this.status.textContent = say("At temperature {tau}, {soft} has error {softError} and {hard} {hardError}; the smallest of all shown is {bestError} ({best}). {soft} is best at {softTau}, {hard} at {hardTau}.",
        {tau, soft: label(soft), hard: label(hard), best, softError: rounded(error(soft)), hardError: rounded(error(hard)),
          bestError: rounded(smallest), softTau: least[soft], hardTau: least[hard]});
    }
  }

  window.gsFigure("variance", (root, number) => new Variance(root, number));
})();
