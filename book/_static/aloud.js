/* Reading a word aloud with a trained network, which looks at one letter for each sound; the weights come from
 * book/tools/aloud.py (window.gsAloud). Takes the place of the picture in every figure of class "gs-aloud". Plain
 * JavaScript, no network, no kernel. */
(() => {
  "use strict";

  const say = window.bookSay;
  const LONGEST = 8, WORDS = ["menthol", "queen", "wren", "plague", "island", "yacht"]; // held out

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const range = (n) => [...Array(n).keys()];
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const sum = (v) => v.reduce((a, b) => a + b, 0);

  function softmax(scores) {
    const top = Math.max(...scores), e = scores.map((x) => Math.exp(x - top)), total = sum(e);
    return e.map((x) => x / total);
  }

  /* gsbook.experiments.reading.model.ReadingAloud, for one word. */
  class Network {
    constructor(data, model) {
      this.signs = data.signs;
      this.said = data.said;
      this.soft = model.soft;
      this.width = model.width;
      this.weights = {};
      for (const [name, weight] of Object.entries(model.weights)) {
        if (weight.values) { this.weights[name] = new Float32Array(bytes(weight.values)); continue; }
        const [n, m] = weight.shape, scale = new Float32Array(bytes(weight.scale)), rows = new Int8Array(bytes(weight.rows));
        this.weights[name] = range(n).map((i) => Float32Array.from(rows.subarray(i * m, (i + 1) * m), (x) => x * scale[i]));
      }
    }

    linear(name, x) {
      const bias = this.weights[`${name}.bias`];
      return this.weights[`${name}.weight`].map((row, i) => row.reduce((total, w, j) => total + w * x[j], bias ? bias[i] : 0));
    }

    /* One step of a gated recurrent unit: reset, update and new, in torch's order. */
    step(name, suffix, x, h) {
      const part = (side, v) => {
        const bias = this.weights[`${name}.bias_${side}_l0${suffix}`];
        return this.weights[`${name}.weight_${side}_l0${suffix}`].map((row, i) =>
          row.reduce((total, w, j) => total + w * v[j], bias[i]));
      };
      const a = part("ih", x), b = part("hh", h), n = h.length;
      return h.map((old, i) => {
        const update = sigmoid(a[n + i] + b[n + i]);
        const fresh = Math.tanh(a[2 * n + i] + sigmoid(a[i] + b[i]) * b[2 * n + i]);
        return (1 - update) * fresh + update * old;
      });
    }

    /* States of the word's letters, from both directions, over all nine places. */
    letters(numbers) {
      const inputs = numbers.map((k) => this.weights["letter.weight"][k]), states = numbers.map(() => []);
      for (const suffix of ["", "_reverse"]) {
        let h = Array(this.width / 2).fill(0);
        for (const t of suffix ? range(numbers.length).reverse() : range(numbers.length)) {
          h = this.step("reader", suffix, inputs[t], h);
          states[t] = [...states[t], ...h];
        }
      }
      return states;
    }

    /* The likeliest sounds, one after the other, and the probabilities of the look behind each. */
    read(word) {
      const numbers = range(LONGEST + 1).map((i) => (i < word.length ? this.signs.indexOf(word[i]) : i === word.length ?
        this.signs.length - 1 : 0));
      const letters = this.letters(numbers).slice(0, word.length + 1);
      const features = letters.map((letter) => this.linear("from_letter", letter));
      const end = this.said.length - 1, found = [];
      let h = Array(this.width).fill(0), last = end;
      for (let t = 0; t <= LONGEST; t++) {
        h = this.step("speaker", "", this.weights["sound.weight"][last], h);
        const query = this.linear("query", h);
        const look = softmax(letters.map((letter) => sum(letter.map((x, i) => x * query[i])) / Math.sqrt(this.width)));
        const state = this.linear("from_state", h);
        const speak = (feature) => softmax(this.linear("out", state.map((x, i) => Math.tanh(x + feature[i]))));
        const mixed = (vectors) => vectors[0].map((_, i) => sum(vectors.map((v, k) => look[k] * v[i])));
        const said = this.soft ? speak(mixed(features)) : mixed(features.map(speak));
        last = said.indexOf(Math.max(...said));
        if (last === end) break;
        found.push({sound: this.said[last], look});
      }
      return found;
    }
  }

  class Aloud {
    constructor(root, number) {
      const data = window.gsAloud;
      if (!data) {
        root.innerHTML = `<p>${say("The networks of this figure are not trained yet. {train} trains them, {keep} keeps the weights of one, and the next build of the book shows it here.",
          {train: "<code>python -m gsbook run reading --budget laptop</code>",
            keep: "<code>python -m gsbook keep reading-gumbel_softmax</code>"})}</p>`;
        return;
      }
      this.data = data;
      this.networks = {};
      const option = ([name, model]) => `<option value="${name}">${say(model.label)}</option>`;
      root.innerHTML = `
        <div class="gs-controls">
          <label>${say("word")} <input type="text" value="${WORDS[0]}" maxlength="${LONGEST}" size="9" autocapitalize="none"
            autocomplete="off" spellcheck="false"></label>
          <label>${say("trained by")} <select>${Object.entries(data.models).map(option).join("")}</select></label>
        </div>
        <div class="gs-controls gs-words" role="group" aria-label="${say("words that training never saw")}">${
          WORDS.map((word) => `<button type="button">${word}</button>`).join("")}</div>
        <p role="status" id="gs-aloud-say-${number}"></p>
        <div class="gs-looks"><table aria-label="${say("Where the network looks: per cent for each letter")}">
          <thead></thead><tbody></tbody></table></div>
        <p class="gs-note">${say("One to {n} letters a to z. The dot is the end of the word. Each row is a sound, with a word in which it is heard; its strongest shade is the letter that the network most likely looks at.",
          {n: LONGEST})}</p>`;
      const find = (query) => root.querySelector(query);
      this.word = find("input");
      this.method = find("select");
      this.status = find("[role=status]");
      this.head = find("thead");
      this.body = find("tbody");
      this.word.addEventListener("input", () => this.read());
      this.method.addEventListener("change", () => this.read());
      root.querySelectorAll(".gs-words button").forEach((button) => button.addEventListener("click", () => {
        this.word.value = button.textContent;
        this.read();
      }));
      this.read();
    }

    read() {
      const word = this.word.value.trim().toLowerCase(), valid = /^[a-z]{1,8}$/.test(word);
      this.word.setAttribute("aria-invalid", String(!valid));
      if (!valid) {
        this.status.textContent = say("Type a word of one to eight letters, a to z, without accents.");
        return;
      }
      const name = this.method.value;
      this.networks[name] ??= new Network(this.data, this.data.models[name]);
      this.show(word, this.networks[name].read(word));
    }

    show(word, rows) {
      const letters = [...word, "."];
      const cell = (p) => `<td style="--look:${p.toFixed(3)}"><span>${p >= 0.005 ? Math.round(100 * p) : ""}</span></td>`;
      this.head.innerHTML = `<tr><td></td>${letters.map((x) => `<th scope="col">${x}</th>`).join("")}</tr>`;
      this.body.innerHTML = range(LONGEST + 1).map((t) => {
        const row = rows[t];
        if (!row) return `<tr class="gs-empty" aria-hidden="true"><th>\u00a0</th>${"<td></td>".repeat(letters.length)}</tr>`;
        return `<tr><th scope="row"><b>${row.sound}</b> <small>${this.data.heard[row.sound]}</small></th>` +
          `${row.look.map(cell).join("")}</tr>`;
      }).join("");
      const at = ({look}) => look.indexOf(Math.max(...look)), place = (k) => (k === word.length ? say("the end") : letters[k]);
      this.status.textContent = !rows.length ? say("“{word}” is read as silence.", {word})
        : say("“{word}” is read {sounds}, with looks at {places}.",
          {word, sounds: rows.map((row) => row.sound).join(" "), places: rows.map((row) => place(at(row))).join(", ")});
    }
  }

  window.gsFigure("aloud", (root, number) => new Aloud(root, number));
})();
