/* The book's own script: previews of links, boxes that the keyboard can scroll, and the link to the PDF. */
"use strict";

// What is wider than its box: on a phone a table becomes a list of its rows; all else scrolls sideways, and the keyboard
// has to reach it, as the theme does for code.
(() => {
  const BOXES = ".pst-scrollable-table-container, .highlight pre, .bd-article table, .cell_output .output, div.math, " +
    'mjx-container[display="true"], .bd-article p > mjx-container, .figure-full';
  const PHONE = window.matchMedia("(max-width: 576px)");

  // The titles of a table's columns, with those above them.
  function titles(table) {
    const found = [];
    for (const row of table.tHead?.rows ?? []) {
      let column = 0;
      for (const cell of row.cells) {
        for (let i = 0; i < cell.colSpan; i++, column++) {
          const text = cell.textContent.trim();
          found[column] = [found[column], text].filter(Boolean).join(", ");
        }
      }
    }
    return found;
  }

  function list(table) {
    const box = table.closest(".pst-scrollable-table-container, .output") ?? table.parentElement;
    table.classList.remove("as-list");
    const wide = table.scrollWidth > (table.clientWidth || Infinity) + 1 || table.offsetWidth > box.clientWidth + 1;
    if (!PHONE.matches || !wide || !table.tHead) return;
    const labels = titles(table);
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, i) => {
        if (i === 0) cell.classList.add("row-title");
        else if (labels[i]) cell.dataset.label = labels[i];
      });
    }
    table.classList.add("as-list");
  }

  function reach() {
    document.querySelectorAll(".bd-article table:not(.cells, .gs-live *)").forEach(list);
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX === "auto") box.tabIndex = 0;
      else if (box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  }

  window.addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(reach);
    let waiting;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(reach, 200); });
  });
})();

// A figure that does not fit opens in full: by a tap on it, or by its button.
(() => {
  const CROSS = "M5 5l14 14M19 5L5 19", ARROWS = "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7";
  const sign = (path) => `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
  let dialog;

  function show(image) {
    if (!dialog) {
      dialog = Object.assign(document.createElement("dialog"), { id: "figure-dialog" });
      dialog.setAttribute("aria-label", bookSay("The figure in full"));
      document.body.append(dialog);
      dialog.addEventListener("click", (event) => { if (!event.target.closest("img")) dialog.close(); });
    }
    const close = Object.assign(document.createElement("button"), { type: "button", innerHTML: `${sign(CROSS)} ${bookSay("Close")}` });
    const whole = Object.assign(document.createElement("img"), { src: image.src, alt: image.alt });
    whole.width = Math.max(image.naturalWidth, window.innerWidth - 20);
    dialog.replaceChildren(close, whole);
    dialog.showModal();
  }

  function offer() {
    for (const box of document.querySelectorAll(".bd-article figure > .figure-full")) {
      const image = box.querySelector("img"), shown = image.getBoundingClientRect().width;
      const small = shown && (shown < 0.97 * image.naturalWidth || box.scrollWidth > box.clientWidth);
      if (!small || box.nextElementSibling.matches("button")) continue;
      const button = Object.assign(document.createElement("button"), { type: "button", innerHTML: sign(ARROWS) });
      button.setAttribute("aria-label", bookSay("Open the figure in full"));
      for (const target of [button, image]) target.addEventListener("click", () => show(image));
      box.after(button);
    }
  }

  window.addEventListener("load", offer);
  window.addEventListener("resize", offer);
})();

// To the other language, and there to the section that is read here.
(() => {
  function place() {
    const sections = [...document.querySelectorAll(".bd-article section[id]")];
    const shown = sections.filter((section) => section.getBoundingClientRect().top < window.innerHeight / 3);
    return shown.length > 1 ? `#${shown.at(-1).id}` : "";  // the first is the whole page
  }

  window.addEventListener("DOMContentLoaded", () => {
    const link = document.querySelector(".language-switch");
    for (const event of ["pointerdown", "focus", "click"]) {
      link?.addEventListener(event, () => { link.hash = place(); });
    }
  });
})();

// Paper is white: print in the light theme.
(() => {
  const page = document.documentElement;
  let theme;
  window.addEventListener("beforeprint", () => { theme = page.dataset.theme; page.dataset.theme = "light"; });
  window.addEventListener("afterprint", () => { page.dataset.theme = theme; });
})();

/* A link to a reference, a formula, a figure or an entry of the glossary shows what it leads to: under the mouse, and
 * when the keyboard comes to it. The mouse may move onto the preview; Escape closes it; a finger just follows the link.
 * What is on this page is read from it. What is on others is in previews.js, which comes with the first preview that
 * needs it, as a script: pages opened as files may not fetch anything else. */
(() => {
  const ROOT = document.documentElement.dataset.content_root ?? "";
  const LINKS = ".bd-article a.internal[href*='#']";
  const TARGETS = /^(equation-|fig-|term-|def-)./;
  let box, shown, opening, closing;

  function load(name) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      Object.assign(script, { src: `${ROOT}_static/${name}.js`, onload: done, onerror: failed });
      document.head.append(script);
    });
  }

  let others;
  async function elsewhere(url) {
    others ??= load("previews");
    await others;
    const root = new URL(ROOT || ".", location.href).pathname;
    const html = window.bookPreviews[decodeURI(url.pathname).slice(decodeURI(root).length) + decodeURIComponent(url.hash)];
    if (!html) return null;
    const made = document.createElement("div");
    made.innerHTML = html;
    for (const image of made.querySelectorAll("img")) image.setAttribute("src", ROOT + image.getAttribute("src"));
    return made;
  }

  // A page without formulas comes without MathJax.
  async function typeset() {
    if (!document.querySelector("script[src*='mathjax/startup.js']")) {
      window.MathJax = {
        loader: { load: ["core", "input/tex", "output/chtml", "a11y/assistive-mml"] },
        options: { enableMenu: false }, chtml: { matchFontHeight: false }, startup: { typeset: false },
      };
      await load("mathjax/startup");
    }
    await window.MathJax.startup?.promise;
    await window.MathJax.typesetPromise?.([box]);
  }

  // A copy of what an element of this page shows.
  function here(id) {
    let target = document.getElementById(id);
    if (!target) return null;
    const made = document.createElement("div");
    if (target.matches(".citation")) target = target.querySelector(":scope > p") ?? target;
    else if (target.matches("dt")) while (target.matches("dt")) target = target.nextElementSibling;  // an entry of two terms
    else if (!TARGETS.test(id)) return null;
    if (target.matches("strong")) return null;
    if (target.matches("dd, figure")) made.append(...target.cloneNode(true).childNodes);
    else made.append(target.cloneNode(true));
    made.querySelectorAll(".headerlink, .gs-live, details, script, button").forEach((element) => element.remove());
    return made;
  }

  function previewable(link) {
    return link.hash.length > 1 && !link.matches(".headerlink, [role=doc-backlink], .backrefs a") &&
      (TARGETS.test(link.hash.slice(1)) || document.getElementById(decodeURIComponent(link.hash.slice(1)))?.matches(".citation"));
  }

  async function show(link) {
    const url = new URL(link.href);
    const same = url.pathname === location.pathname;
    const content = same ? here(decodeURIComponent(url.hash.slice(1))) : await elsewhere(url).catch(() => null);
    if (!content || shown === link || opening?.link !== link) return;
    hide();
    content.querySelectorAll("a").forEach((a) => a.replaceWith(...a.childNodes));
    content.querySelectorAll("[id], [tabindex]").forEach((e) => { e.removeAttribute("id"); e.removeAttribute("tabindex"); });
    if (!box) {
      box = document.createElement("div");
      Object.assign(box, { id: "book-preview", className: "bd-article", role: "tooltip", hidden: true });
      box.addEventListener("pointerenter", () => clearTimeout(closing));
      box.addEventListener("pointerleave", leave);
      (document.querySelector("main") ?? document.body).append(box);
    }
    box.replaceChildren(...content.childNodes);
    box.hidden = false;
    shown = link;
    link.setAttribute("aria-describedby", box.id);
    if (!same && box.querySelector(".math")) await typeset();
    if (shown === link) place(link);
  }

  // Below the link, or above it where there is more room; never beyond the window's sides.
  function place(link) {
    const at = link.getClientRects()[0], width = document.documentElement.clientWidth, gap = 6;
    box.style.left = `${Math.max(8, Math.min(at.left, width - box.offsetWidth - 8)) + window.scrollX}px`;
    const above = at.bottom + gap + box.offsetHeight > window.innerHeight && at.top > window.innerHeight - at.bottom;
    box.style.top = `${window.scrollY + (above ? at.top - gap - box.offsetHeight : at.bottom + gap)}px`;
  }

  function hide() {
    clearTimeout(closing);
    if (!shown) return;
    window.MathJax?.typesetClear?.([box]);
    box.hidden = true;
    shown.removeAttribute("aria-describedby");
    shown = null;
  }

  function cancel() {
    clearTimeout(opening?.timer);
    opening = null;
  }

  function enter(link, delay) {
    clearTimeout(closing);
    cancel();
    if (link !== shown) opening = { link, timer: setTimeout(() => show(link), delay) };
  }

  function leave() {
    cancel();
    clearTimeout(closing);
    closing = setTimeout(hide, 250);  // time to reach the preview
  }

  function begin() {
    for (const link of document.querySelectorAll(LINKS)) {
      if (!previewable(link)) continue;
      link.removeAttribute("title");  // the browser's own preview would cover ours
      link.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") enter(link, 150); });
      link.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") leave(); });
      link.addEventListener("focus", () => { if (link.matches(":focus-visible")) enter(link, 0); });
      link.addEventListener("blur", () => { cancel(); hide(); });
      link.addEventListener("click", () => { cancel(); hide(); });
    }
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") { cancel(); hide(); } });
    window.addEventListener("resize", hide);
    window.addEventListener("pagehide", hide);
  }

  // `make pdf` says in pdf.js what the PDF is called; otherwise that is empty.
  async function linkPdf() {
    await load("pdf");
    if (!window.bookPdf) return;
    for (const [where, text] of [[".dropdown-download-buttons .dropdown-menu", bookSay("The book (.pdf)")],
      [".extra_footer", bookSay("The book as PDF")]]) {
      const place = document.querySelector(where);
      if (!place) continue;
      const link = Object.assign(document.createElement("a"), { href: ROOT + window.bookPdf, textContent: text, className: "book-pdf" });
      if (place.matches("ul")) link.classList.add("btn", "btn-sm", "dropdown-item");
      const item = document.createElement(place.matches("ul") ? "li" : "p");
      item.append(link);
      place.append(item);
    }
  }

  window.addEventListener("DOMContentLoaded", () => { begin(); linkPdf(); });
})();
