/* The book's own script: previews of links, boxes that the keyboard can scroll, and the link to the PDF. */
"use strict";

// What is wider than its box scrolls sideways: let the keyboard reach it, as the theme does for code.
(() => {
  const BOXES = ".pst-scrollable-table-container, .highlight pre, .bd-article table, .cell_output .output, div.math, " +
    'mjx-container[display="true"], .bd-article p > mjx-container, #fig-intro-scoreboard';

  function reach() {
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
    if (!document.querySelector("script[src*='tex-chtml.js']")) {
      window.MathJax = { chtml: { matchFontHeight: false }, startup: { typeset: false } };
      await load("mathjax/tex-chtml");
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
    else if (target.matches("dt")) target = target.nextElementSibling;
    else if (!TARGETS.test(id)) return null;
    if (target.matches("strong")) return null;
    if (target.matches("dd, figure")) made.append(...target.cloneNode(true).childNodes);
    else made.append(target.cloneNode(true));
    made.querySelectorAll(".headerlink, .gs-live, details, script").forEach((element) => element.remove());
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
    for (const [where, text] of [[".dropdown-download-buttons .dropdown-menu", "The book (.pdf)"], [".extra_footer", "The book as PDF"]]) {
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
